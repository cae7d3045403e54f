// A publisher: signs, stores, sends, settles. The transport is HTTP or Kafka; the rest is the same.

import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { FormatError, uuidText } from "./avro.mjs";
import { checkEnvelope, decodeStatement, encodeStatement } from "./admission.mjs";
import { NotVerified, readRefusal, verifyReceipt } from "./answers.mjs";
import { BATCH_SIZE_MAX, sha256, signBatch, statementId, statementMessage } from "./signatures.mjs";

const hex = (text) => Buffer.from(text, "hex");
const PAUSE_MS = [200, 10_000];

/** Every form that a pending statement ever had, the oldest first: one of them may be in the log. */
export const forms = (item) => [...(item.earlier ?? []), item];

export class Publisher {
  /**
   * `catalogue` of the schemas, `outbox` of this key, `key` and `authority` (UUID text) that sign, `origin` and
   * `logKeys` (verifier keys) of the log, `transport` with `send(items)`: answers {id, form, refusal, receipt}, of
   * which one is null; a refusal is the signed note, a receipt {proof, entry}. `doubts` has, by id, why an answer was
   * last not believed.
   */
  constructor({ catalogue, outbox, key, authority, origin, logKeys, transport }) {
    Object.assign(this, { catalogue, outbox, key, authority, origin, logKeys, transport });
    this.doubts = new Map();
  }

  /**
   * Sign what is to be said and store it; nothing is sent yet.
   *
   * Each is the JSON of a statement without id, ledger, publisher, key and sequence; its body is the JSON of the act.
   */
  sign(said) {
    const first = this.outbox.next ?? 0;
    const made = said.map((one, offset) => {
      const id = statementId(BigInt(Date.now()) * 1000n, randomBytes(10));
      const value = {
        ...one,
        id: uuidText(id),
        ledger: this.origin,
        publisher: this.authority,
        key: this.key.id.toString("hex"),
        sequence: first + offset,
        body: this.catalogue.body(one.act, one.version).encode(one.body).toString("hex"),
      };
      const data = encodeStatement(this.catalogue, value);
      // As the log will read it: what cannot be admitted is found before it is signed.
      checkEnvelope(this.catalogue, decodeStatement(this.catalogue, data));
      return { id: value.id, sequence: value.sequence, signed: 1, statement: data.toString("hex") };
    });
    this.outbox.put(this.#signed(made));
    return made.map((item) => item.id);
  }

  #signed(items) {
    const out = [];
    for (let at = 0; at < items.length; at += BATCH_SIZE_MAX) {
      const part = items.slice(at, at + BATCH_SIZE_MAX);
      const data = part.map((item) => hex(item.statement));
      if (part.length === 1) {
        out.push({ ...part[0], signature: this.key.sign(statementMessage(data[0])).toString("hex"), batch: null });
        continue;
      }
      const { signature, places } = signBatch(this.key, data);
      part.forEach((item, index) => out.push({ ...item, signature: signature.toString("hex"), batch: places[index] }));
    }
    return out;
  }

  #anew = (items) =>
    this.#signed(
      items.map((item) => {
        const value = decodeStatement(this.catalogue, hex(item.statement));
        const data = encodeStatement(this.catalogue, { ...value, sequence: item.sequence });
        return { ...item, statement: data.toString("hex") };
      }),
    );

  // What `read` makes of an answer, or null where the answer proves nothing about what was sent.
  #believed(id, read) {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof NotVerified)) throw error;
      this.doubts.set(id, error.message);
      return null;
    }
  }

  /** A refusal, where the log signed it, of these bytes with this signature: others may have sent a copy. */
  #refused(form, note) {
    const { origin, logKeys } = this;
    const sent = { statement: hex(form.statement), signature: hex(form.signature), batch: form.batch };
    const { code, expected, at } = readRefusal(note, { origin, logKeys, ...sent });
    return { outcome: "refused", code, expected, at };
  }

  /** A receipt, where its entry is of these bytes, and stands in a tree that the log signed. */
  #recorded(form, { proof, entry }) {
    const { origin, logKeys } = this;
    const how = { statement: hex(form.statement), entryData: entry, entryCodec: this.catalogue.named("entry") };
    const { outcome, index, reason } = verifyReceipt(proof, { origin, logKeys, ...how });
    return { outcome, index, reason };
  }

  /** One round: send all that is pending, and settle what was answered. */
  async round() {
    const pending = this.outbox.pending;
    const said = await this.transport.send(pending);
    const now = new Map(pending.map((item) => [item.id, item.statement]));
    const answers = {};
    for (const { form, id, refusal, receipt } of said) {
      // A receipt is final, and counts for whatever had this id; a refusal for the bytes that are pending alone.
      if (answers[id] && answers[id].outcome !== "refused") continue;
      if (!receipt && now.get(id) !== form.statement) continue;
      const believed = this.#believed(id, () => (receipt ? this.#recorded(form, receipt) : this.#refused(form, refusal)));
      if (believed) answers[id] = believed;
    }
    const settled = this.outbox.settle(answers, this.#anew);
    await this.transport.settled?.();
    return { ...settled, answers };
  }

  /** Send until nothing is pending, or until `ms` have passed; what is left is sent by the next call. */
  async publish({ ms = 60_000 } = {}) {
    const until = Date.now() + ms;
    const answers = {};
    let pause = PAUSE_MS[0];
    while (this.outbox.pending.length && Date.now() < until) {
      const before = this.outbox.pending.length;
      const round = await this.round();
      Object.assign(answers, round.answers);
      if (round.sign_again.length || this.outbox.pending.length < before) {
        pause = PAUSE_MS[0];
      } else if (this.outbox.pending.length) {
        await wait(pause);
        pause = Math.min(2 * pause, PAUSE_MS[1]);
      }
    }
    return answers;
  }
}

export const digest = (item) => sha256(hex(item.statement)).toString("hex");
