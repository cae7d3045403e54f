// What a log answers to a submission before it judges what the statement means: an agency that asks itself first
// sends nothing that is refused.

import { FormatError, instantOf } from "./avro.mjs";
import { holds, sha256, signedMessage } from "./signatures.mjs";

export const STATEMENT_BYTES_MAX = 60_000;

const EARLIEST = instantOf("1900-01-01T00:00:00Z");
const LATEST = instantOf("2200-01-01T00:00:00Z");
const ITEMS_MAX = 64;

/** Whether this platform knows a time zone; the log knows those of the IANA database, by their exact names. */
function isZone(name) {
  if (!/^[A-Za-z][A-Za-z0-9+_/-]*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const whole = (value) => BigInt(value);

/** Decode a statement of at most 60,000 bytes. */
export function decodeStatement(catalogue, data) {
  if (data.length > STATEMENT_BYTES_MAX) throw new FormatError("is too long", "statement");
  return catalogue.named("statement").decode(data);
}

export function encodeStatement(catalogue, value) {
  const data = catalogue.named("statement").encode(value);
  if (data.length > STATEMENT_BYTES_MAX) throw new FormatError("is too long", "statement");
  return data;
}

/** Check what the encoding cannot: limits, clocks, patterns and code lists of the envelope. */
export function checkEnvelope(catalogue, s) {
  const fail = (field, what) => {
    throw new FormatError(what, field);
  };
  const id = Buffer.from(s.id.replaceAll("-", ""), "hex");
  if (id[6] >> 4 !== 7 || id[8] >> 6 !== 2) fail("id", "is not a UUIDv7");
  if (whole(s.sequence) < 0n) fail("sequence", "is negative");
  if (!/^[a-z][a-z_]*\.[a-z][a-z_]*$/.test(s.act)) fail("act", "is not of the form noun.past_participle");
  if (!isZone(s.zone)) fail("zone", "is not an IANA time zone");
  if (!/^[a-z]{2,3}$/.test(s.language)) fail("language", "is not a language code");
  const instants = { occurred_from: s.occurred_from, occurred_until: s.occurred_until };
  const inTime = (text) => instantOf(text) >= EARLIEST && instantOf(text) <= LATEST;
  for (const [name, text] of Object.entries(instants)) if (!inTime(text)) fail(name, "lies outside the years 1900 to 2199");
  if (instantOf(s.occurred_from) > instantOf(s.occurred_until)) fail("occurred_until", "lies before occurred_from");
  const later = {
    legal_effect_at: s.legal_effect_at,
    known_at: s.known_at,
    "visibility.embargo_until": s.visibility.embargo_until,
  };
  for (const [name, text] of Object.entries(later)) {
    if (text !== null && !inTime(text)) fail(name, "lies outside the years 1900 to 2199");
  }
  for (const name of ["addressees", "proceedings", "basis", "answers", "attachments"]) {
    if (s[name].length > ITEMS_MAX) fail(name, `has more than ${ITEMS_MAX} items`);
  }
  if (s.known_at !== null && !s.attachments.some((item) => item.role === "receipt_proof")) {
    fail("known_at", "needs an attachment with the role receipt_proof");
  }
  checkVoice(catalogue, s, fail);
  s.basis.forEach((basis, at) => {
    const known = basis.domestic
      ? /^[A-Za-z][A-Za-z0-9 ./-]{1,63}$/.test(basis.instrument)
      : catalogue.codes("instruments").has(basis.instrument);
    if (!known) fail(`basis[${at}].instrument`, "is not in the code list, or not the name of a domestic act");
    if (basis.article !== null && !/^[0-9A-Za-z()., \u00a7/-]{1,32}$/.test(basis.article)) {
      fail(`basis[${at}].article`, "is not an article such as 12(3)");
    }
  });
  s.attachments.forEach((item, at) => {
    if (!catalogue.codes("attachment_roles").has(item.role)) fail(`attachments[${at}].role`, "is not in the code list");
    if (!catalogue.codes("media_types").has(item.media_type)) {
      fail(`attachments[${at}].media_type`, "is not in the code list");
    }
    if (whole(item.size) < 0n) fail(`attachments[${at}].size`, "is negative");
  });
}

function checkVoice(catalogue, s, fail) {
  const { speaker } = s;
  if (s.voice === "own") {
    if (speaker !== null) fail("speaker", "must be null when the voice is own");
    return;
  }
  if (speaker === null) fail("speaker", `is needed when the voice is ${s.voice}`);
  if (speaker.country !== null && !/^[A-Z]{2}$/.test(speaker.country)) fail("speaker.country", "is not a country code");
  if (speaker.authority_kind !== null && !catalogue.codes("authority_kinds").has(speaker.authority_kind)) {
    fail("speaker.authority_kind", "is not in the code list");
  }
  if (s.voice === "on_behalf") {
    if (speaker.authority === null || speaker.mandate === null) fail("speaker", "needs the authority and the mandate");
    return;
  }
  if (speaker.source === null || !/^[A-Za-z0-9 .,:;()/\u00a7&*[\]_+-]{2,64}$/.test(speaker.source)) {
    fail("speaker.source", "must cite where the reported act was published");
  }
  if (speaker.authority === null && (speaker.country === null || speaker.authority_kind === null)) {
    fail("speaker", "needs the authority reported, or its country and kind");
  }
}

const refused = (answer, at = null, expected = null) => ({ answer, at: at || null, expected });

/** What a log in this situation answers. */
export function admit(catalogue, { log, statement, signature, batch }) {
  if (statement.length > STATEMENT_BYTES_MAX) return refused("too_large");
  let value;
  let message;
  try {
    value = decodeStatement(catalogue, statement);
    if (value.ledger !== log.origin) return refused("wrong_ledger", "ledger");
    checkEnvelope(catalogue, value);
    if (!catalogue.isReleased(value.act, value.version) && !log.drafts) return refused("draft_act", "act");
    try {
      catalogue.body(value.act, value.version).decode(Buffer.from(value.body, "hex"));
    } catch (error) {
      throw error instanceof FormatError ? new FormatError(error.what, error.field ? `body.${error.field}` : "body") : error;
    }
    if (batch !== null && (batch.size < 1 || batch.size > 4096)) throw new FormatError("is too many", "batch.size");
    if (signature.length !== 64) throw new FormatError("is not 64 bytes long", "signature");
    message = signedMessage(statement, batch);
  } catch (error) {
    if (error instanceof FormatError) return refused("malformed", error.field);
    throw error;
  }
  const key = log.keys[value.key];
  if (key && !holds(Buffer.from(key.public_key, "hex"), message, signature)) return refused("unauthenticated", "signature");
  const same = log.recorded[value.id.replaceAll("-", "")];
  if (same) return same === sha256(statement).toString("hex") ? { answer: "first_answer" } : refused("id_reused", "id");
  if (!key?.valid) return refused("unauthenticated", "key");
  if (key.authority !== value.publisher.replaceAll("-", "")) return refused("unauthenticated", "publisher");
  if (whole(value.sequence) !== whole(key.next)) {
    const code = whole(value.sequence) < whole(key.next) ? "sequence_reused" : "out_of_order";
    return refused(code, "sequence", key.next);
  }
  return { answer: "admitted" };
}
