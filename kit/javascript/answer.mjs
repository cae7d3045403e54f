#!/usr/bin/env node
// This implementation, asked through the protocol of the conformance suite:
//
//     python3 kit/conformance.py run -- node kit/javascript/answer.mjs

import { createInterface } from "node:readline";
import { join } from "node:path";
import { FormatError, uuidText } from "./avro.mjs";
import { Catalogue } from "./catalogue.mjs";
import { admit, decodeStatement, encodeStatement } from "./admission.mjs";
import { NotVerified, readRefusal, verifyReceipt } from "./answers.mjs";
import { PrivateKey, acceptableKey, holds, signBatch, signedMessage, statementId, statementMessage } from "./signatures.mjs";
import { settle } from "./outbox.mjs";
import { packSubmission, unpackAnswer, unpackSubmission } from "./wire.mjs";

const catalogue = new Catalogue(process.env.COMITY_SCHEMAS ?? join(import.meta.dirname, "..", "..", "schemas"));
const hex = (text) => Buffer.from(text, "hex");
const text = (data) => data.toString("hex");

const operations = {
  decode_statement: (given) => ({ value: decodeStatement(catalogue, hex(given.statement)) }),
  encode_statement: (given) => ({ statement: text(encodeStatement(catalogue, given.value)) }),
  decode_body: (given) => ({ value: catalogue.body(given.act, given.version).decode(hex(given.body)) }),
  encode_body: (given) => ({ body: text(catalogue.body(given.act, given.version).encode(given.value)) }),
  statement_id: (given) => ({ id: uuidText(statementId(BigInt(given.at), hex(given.randomness))) }),
  sign(given) {
    const key = PrivateKey.fromSeed(hex(given.seed));
    const message = statementMessage(hex(given.statement));
    return { public_key: text(key.public), key: text(key.id), message: text(message), signature: text(key.sign(message)) };
  },
  sign_batch(given) {
    const made = signBatch(PrivateKey.fromSeed(hex(given.seed)), given.statements.map(hex));
    return { root: text(made.root), message: text(made.message), signature: text(made.signature), places: made.places };
  },
  verify(given) {
    const message = signedMessage(hex(given.statement), given.batch);
    return { holds: holds(hex(given.public_key), message, hex(given.signature)) };
  },
  verify_raw: (given) => ({ holds: holds(hex(given.public_key), hex(given.message), hex(given.signature)) }),
  register_key: (given) => ({ acceptable: acceptableKey(hex(given.public_key)) }),
  admit: (given) => admit(catalogue, { ...given, statement: hex(given.statement), signature: hex(given.signature) }),
  read_refusal: (given) =>
    readRefusal(hex(given.note), {
      origin: given.origin,
      logKeys: given.log_keys,
      statement: hex(given.statement),
      signature: hex(given.signature),
      batch: given.batch,
    }),
  verify_receipt: (given) =>
    verifyReceipt(hex(given.proof), {
      origin: given.origin,
      logKeys: given.log_keys,
      statement: hex(given.statement),
      entryData: hex(given.entry),
      entryCodec: catalogue.named("entry"),
    }),
  pack_submission: (given) => ({
    value: text(packSubmission(catalogue, { ...given, statement: hex(given.statement), signature: hex(given.signature) })),
  }),
  unpack_submission(given) {
    const { statement, signature, batch } = unpackSubmission(catalogue, hex(given.value));
    return { statement, signature, batch };
  },
  unpack_answer: (given) => ({ value: unpackAnswer(catalogue, hex(given.value)) }),
  settle: (given) => settle(given.pending, given.next, given.answers),
  sign_again(given) {
    const value = decodeStatement(catalogue, hex(given.statement));
    return { statement: text(encodeStatement(catalogue, { ...value, sequence: given.sequence })) };
  },
};

function answer(what, given) {
  if (!(what in operations)) return { unsupported: true };
  try {
    return operations[what](given);
  } catch (error) {
    if (error instanceof FormatError) return { fault: "malformed", field: error.field };
    if (error instanceof NotVerified) return { fault: "not_verified" };
    throw error;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id: asked.id, answer: answer(asked.do, asked.given) })}\n`);
}
