// What a log answers: refusals, and receipts (entry, inclusion proof, checkpoint), in the C2SP formats.
//
// Of the log's two signatures the one by Ed25519 is checked. Node 20 has no ML-DSA-44: a line by such a key is read
// and not checked. A publisher who wants both uses verify.py, or node 24 and newer.

import { FormatError } from "./avro.mjs";
import { holds, leafHash, rootByPath, sha256 } from "./signatures.mjs";

export class NotVerified extends Error {}

const ED25519 = 1;
const KEY_BYTES = { 1: 32, 4: 32, 6: 1312 };

function base64(text, field) {
  const data = Buffer.from(text, "base64");
  if (data.toString("base64") !== text) throw new FormatError("not canonical base64", field);
  return data;
}

function decimal(text, field) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || text.includes("\n") || BigInt(text) >= 2n ** 63n) {
    throw new FormatError("not a decimal number", field);
  }
  return BigInt(text);
}

function checkName(name) {
  if (!name || /[\s+\x00-\x1f]/.test(name)) throw new FormatError("not a key name", "name");
  if (Buffer.byteLength(name) > 255) throw new FormatError("longer than 255 bytes", "name");
}

/** A verifier key: `name+keyid+base64`. */
export function parseVkey(text) {
  const [name, id, ...rest] = text.split("+");
  checkName(name);
  const data = base64(rest.join("+"), "vkey");
  if (!data.length || KEY_BYTES[data[0]] !== data.length - 1) {
    throw new FormatError("unknown algorithm or wrong length", "vkey");
  }
  const keyId = sha256(Buffer.from(`${name}\n`), data).subarray(0, 4).toString("hex");
  if (keyId !== id) throw new FormatError("the key id is another", "vkey");
  return { name, keyId, algorithm: data[0], publicKey: data.subarray(1) };
}

/** A signed note: its text with the final newline, and its signature lines; nothing is verified. */
export function parseNote(data) {
  let whole;
  try {
    whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new FormatError("not UTF-8", "note");
  }
  if (data.length > 512 * 1024 || /[\x00-\x09\x0b-\x1f]/.test(whole)) throw new FormatError("control characters", "note");
  const at = whole.lastIndexOf("\n\n");
  if (at < 1 || !whole.endsWith("\n")) throw new FormatError("no text, blank line and signature lines", "note");
  const lines = whole.slice(at + 2, -1).split("\n");
  if (at + 2 >= whole.length || lines.length > 128) throw new FormatError("no signature lines, or too many", "note");
  const signatures = lines.map((line) => {
    const words = line.split(" ");
    if (words.length !== 3 || words[0] !== "\u2014") throw new FormatError("not a signature line", "note");
    checkName(words[1]);
    const blob = base64(words[2], "signature");
    if (blob.length < 5) throw new FormatError("no signature after the key id", "signature");
    return { name: words[1], keyId: blob.subarray(0, 4).toString("hex"), blob: blob.subarray(4) };
  });
  return { text: whole.slice(0, at + 1), signatures };
}

function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[3]) throw new FormatError("not exactly three lines", "checkpoint");
  const root = base64(lines[2], "checkpoint");
  if (!lines[0]) throw new FormatError("no origin", "checkpoint");
  if (root.length !== 32) throw new FormatError("the root is not of 32 bytes", "checkpoint");
  return { origin: lines[0], size: decimal(lines[1], "checkpoint"), root };
}

function parseProof(data) {
  const at = data.indexOf("\n\n");
  const head = at < 0 ? "" : data.subarray(0, at).toString("latin1");
  if (/[^\x00-\x7f]/.test(head)) throw new FormatError("not ASCII before the checkpoint", "proof");
  const lines = head.split("\n");
  if (at < 0 || lines[0] !== "c2sp.org/tlog-proof@v1" || lines.length < 2) throw new FormatError("not a tlog-proof", "proof");
  lines.shift();
  if (lines[0].startsWith("extra ")) base64(lines.shift().slice(6), "extra");
  if (!lines.length || !lines[0].startsWith("index ")) throw new FormatError("no index", "proof");
  const index = decimal(lines[0].slice(6), "index");
  const path = lines.slice(1).map((line) => base64(line, "path"));
  if (path.length > 63 || path.some((node) => node.length !== 32)) {
    throw new FormatError("not a path of 32-byte hashes", "path");
  }
  return { index, path, note: data.subarray(at + 2) };
}

/** Raise unless a line of the note by the log's Ed25519 key is there and holds. */
function checkSigned(note, origin, vkeys) {
  const keys = vkeys.map(parseVkey).filter((key) => key.algorithm === ED25519 && key.name === origin);
  let signed = false;
  for (const line of note.signatures) {
    const key = keys.find((known) => known.name === line.name && known.keyId === line.keyId);
    if (!key) continue;
    if (!holds(key.publicKey, Buffer.from(note.text), line.blob)) throw new NotVerified("a signature does not hold");
    signed = true;
  }
  if (!signed) throw new NotVerified("the log did not sign it");
}

// How a refusal names the place in a batch that the log received.
const placeOf = (batch) =>
  batch === null ? "-" : `${batch.size} ${batch.index} ${sha256(Buffer.from(batch.path.join(""), "hex")).toString("hex")}`;

/** Read a refusal, and check that the log signed it, of exactly these bytes with this signature. */
export function readRefusal(data, { origin, logKeys, statement, signature, batch }) {
  const note = parseNote(data);
  const lines = note.text.split("\n");
  if (lines.length !== 10 || lines[0] !== "comity.refusal/v1") throw new FormatError("is no refusal", "note");
  const [, whose, said, by, place, code, field, expected, at] = lines;
  if (whose !== origin || said !== sha256(statement).toString("hex")) {
    throw new NotVerified("it is about another statement, or of another log");
  }
  if (by !== sha256(signature).toString("hex") || place !== placeOf(batch)) {
    throw new NotVerified("it is about a copy of the statement that another signed");
  }
  checkSigned(note, origin, logKeys);
  return {
    code,
    at: field === "-" ? null : field,
    expected: expected === "-" ? null : Number(expected),
    refused_at: Number(at),
  };
}

/** Check a receipt: the log signed a tree in which the entry stands, and the entry is of the statement that was sent. */
export function verifyReceipt(proofData, { origin, logKeys, statement, entryData, entryCodec }) {
  const entry = entryCodec.decode(entryData);
  if (entry.format !== 1) throw new FormatError("another format", "format");
  const proof = parseProof(proofData);
  const note = parseNote(proof.note);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin) throw new NotVerified("the checkpoint is of another log");
  const root = rootByPath(leafHash(entryData), proof.index, checkpoint.size, proof.path);
  if (root === null || !root.equals(checkpoint.root)) throw new NotVerified("the entry is not under this root");
  checkSigned(note, origin, logKeys);
  const sent = statement.toString("hex");
  const accepted = entry.disposition === "accepted";
  const same = accepted ? entry.statement === sent : entry.statement_sha256 === sha256(statement).toString("hex");
  if (!same || !sent.startsWith(entry.statement)) throw new NotVerified("the entry is not of the statement that was sent");
  return {
    index: Number(proof.index),
    outcome: entry.disposition,
    reason: entry.reason,
    recorded_at: entry.recorded_at,
    size: Number(checkpoint.size),
  };
}
