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
      } catch {
        if (Date.now() > this.until) return;
        await wait(200);
      }
    }
    if (this.running) return;
    this.running = true;
    await this.consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        // Several answers may come to the same bytes, also to copies that others sent: all go to the publisher,
        // who knows which are about what he sent.
        const answer = unpackAnswer(this.catalogue, message.value);
        const refused = answer.outcome === "refused";
        const note = hex(answer.note);
        const receipt = refused ? null : { proof: note, entry: hex(answer.entry ?? "") };
        this.heard.get(answer.statement_sha256)?.push({ refusal: refused ? note : null, receipt });
        this.offsets.set(partition, { topic, partition, offset: (BigInt(message.offset) + 1n).toString() });
      },
    });
  }

  async send(items) {
    const rows = items.flatMap((item) => forms(item).map((form) => ({ id: item.id, form })));
    this.until = Date.now() + this.ms;
    // Answers that came between two rounds are kept; those to nothing that is pending are passed over.
    this.heard = new Map(rows.map(({ form }) => [digest(form), this.heard.get(digest(form)) ?? []]));
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
    const answered = () => rows.every((row) => this.heard.get(digest(row.form)).length);
    while (!answered() && Date.now() < this.until) await wait(20);
    // What is told is forgotten here: what is still pending afterwards is sent, and answered, again.
    return rows.flatMap((row) =>
      this.heard.get(digest(row.form)).splice(0).map((answer) => ({ ...row, ...answer })),
    );
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
