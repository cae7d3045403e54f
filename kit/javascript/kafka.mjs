// Publishing through Kafka: submissions out, receipts in. The only file that needs a package: kafkajs.

import { setTimeout as wait } from "node:timers/promises";
import { digest, forms } from "./publisher.mjs";
import { packSubmission, unpackAnswer } from "./wire.mjs";

const hex = (text) => Buffer.from(text, "hex");

export class KafkaTransport {
  /** `kafka` is a client of kafkajs; `prefix` is what the topics are called after, where it is not comity. */
  constructor(kafka, catalogue, { authority, key, prefix = "comity", ms = 30_000 }) {
    Object.assign(this, { catalogue, key, ms });
    this.submissions = `${prefix}.submissions`;
    this.receipts = `${prefix}.receipts.${authority}`;
    this.producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
    this.consumer = kafka.consumer({ groupId: `${this.receipts}/outbox`, allowAutoTopicCreation: false });
    this.heard = new Map();
    this.offsets = new Map();
  }

  async connect() {
    await this.producer.connect();
    await this.consumer.connect();
  }

  // The topic is made with the first answer, so that it may not be there before anything was sent.
  async #listen() {
    while (!this.listening) {
      try {
        await this.consumer.subscribe({ topics: [this.receipts], fromBeginning: true });
        this.listening = true;
      } catch (error) {
        if (Date.now() > this.until) return;
        await wait(200);
      }
    }
    if (this.running) return;
    this.running = true;
    await this.consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        // Several answers may come to the same bytes: a receipt is kept, whatever comes after it.
        const answer = unpackAnswer(this.catalogue, message.value);
        const said = {
          outcome: answer.outcome,
          index: answer.index,
          note: answer.outcome === "refused" ? hex(answer.note) : null,
        };
        const before = this.heard.get(answer.statement_sha256);
        if (!before || before.outcome === "refused") this.heard.set(answer.statement_sha256, said);
        this.offsets.set(partition, { topic, partition, offset: (BigInt(message.offset) + 1n).toString() });
      },
    });
  }

  async send(items) {
    const rows = items.flatMap((item) => forms(item).map((form) => ({ id: item.id, form })));
    this.until = Date.now() + this.ms;
    await this.producer.send({
      topic: this.submissions,
      acks: -1,
      messages: rows.map(({ form }) => ({
        key: this.key.id,
        value: packSubmission(this.catalogue, {
          statement: hex(form.statement),
          signature: hex(form.signature),
          batch: form.batch,
        }),
      })),
    });
    await this.#listen();
    const answered = () => rows.every((row) => this.heard.has(digest(row.form)));
    while (!answered() && Date.now() < this.until) await wait(20);
    return rows.flatMap((row) => {
      const answer = this.heard.get(digest(row.form));
      // A refusal is of its moment: the same bytes, sent again, are judged again.
      if (answer?.outcome === "refused") this.heard.delete(digest(row.form));
      return answer ? [{ ...row, answer }] : [];
    });
  }

  /** What was heard is settled and durable: the receipts need not be read again. */
  async settled() {
    const offsets = [...this.offsets.values()];
    if (offsets.length) await this.consumer.commitOffsets(offsets);
  }

  async close() {
    await this.consumer.disconnect();
    await this.producer.disconnect();
  }
}
