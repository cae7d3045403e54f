// Publishing through `comity serve`: POST /statements, in order, many at a time.

import { forms } from "./publisher.mjs";

const MANY = 500;

const base64 = (text) => Buffer.from(text, "hex").toString("base64");

const receipt = (proof, entry) => ({ proof: Buffer.from(proof), entry: Buffer.from(entry ?? "", "base64") });

const sent = (form) => ({
  statement: base64(form.statement),
  signature: base64(form.signature),
  batch: form.batch && { ...form.batch, path: form.batch.path.map(base64) },
});

export class HttpTransport {
  constructor(address, { ms = 30_000 } = {}) {
    this.address = address;
    this.ms = ms;
  }

  /** Send every form of every item; the answers that came. No answer is no error: the next round sends again. */
  async send(items) {
    const rows = items.flatMap((item) => forms(item).map((form) => ({ id: item.id, form })));
    const said = [];
    for (let at = 0; at < rows.length; at += MANY) {
      const part = rows.slice(at, at + MANY);
      const answers = await this.#post({ statements: part.map((row) => sent(row.form)) });
      if (!answers) break;
      part.forEach((row, index) => {
        const { disposition, note, proof, entry } = answers[index];
        const refused = disposition === "refused";
        said.push({ ...row, refusal: refused ? Buffer.from(note) : null, receipt: refused ? null : receipt(proof, entry) });
      });
    }
    return said;
  }

  async #post(body) {
    let response;
    let read;
    try {
      response = await fetch(new URL("/statements", this.address), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.ms),
      });
      read = await response.json();
    } catch {
      return null; // nobody there, cut off, or too late
    }
    if (response.status === 200) return read.answers;
    if (response.status === 429 || response.status >= 500) return null;
    throw new Error(`the gateway does not take this (${response.status}): ${read.title ?? ""} ${read.detail ?? ""}`);
  }
}
