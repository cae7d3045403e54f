// The values on Kafka: a zero byte, the schema id of schemas/RELEASED as four bytes, then Avro.

import { FormatError } from "./avro.mjs";

export const SUBMISSION_BYTES_MAX = 61_440;

function frame(catalogue, schema) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(catalogue.ids.get(`${schema}.1`), 1);
  return head;
}

function unframe(catalogue, schema, value) {
  if (!frame(catalogue, schema).equals(value.subarray(0, 5))) throw new FormatError(`is not the frame of ${schema}`);
  return value.subarray(5);
}

export function packSubmission(catalogue, { statement, signature, batch }) {
  const value = {
    statement: statement.toString("hex"),
    algorithm: "ed25519",
    signature: signature.toString("hex"),
    batch,
  };
  return Buffer.concat([frame(catalogue, "submission"), catalogue.named("submission").encode(value)]);
}

export function unpackSubmission(catalogue, value) {
  if (value.length > SUBMISSION_BYTES_MAX) throw new FormatError("is too long");
  return catalogue.named("submission").decode(unframe(catalogue, "submission", value));
}

export const unpackAnswer = (catalogue, value) => catalogue.named("answer").decode(unframe(catalogue, "answer", value));
