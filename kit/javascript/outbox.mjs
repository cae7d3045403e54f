// The durable outbox: what was signed and has no answer, in a file that survives a crash at any byte.
//
// The file is a journal: one line for each transaction, `checksum json`. A transaction is done once its line is
// forced to the disk. A last line that is cut off, or whose checksum is false, is a transaction that was not done,
// and is taken out when the file is opened; a false line anywhere else is damage, and nothing is sent.
// The protocol, with what must be durable before what, is docs/publisher-kit/outbox.md.

import { closeSync, fsyncSync, ftruncateSync, linkSync, mkdirSync, openSync, readFileSync, readdirSync } from "node:fs";
import { renameSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "./signatures.mjs";

const ORDER_CODES = new Set(["out_of_order", "sequence_reused"]);
const AGAIN_CODES = new Set(["unavailable"]);
const LINES_MAX = 10_000;

// A refusal of these bytes: not where earlier bytes of the same id may be in the log.
const judged = (item, answer) =>
  answer?.outcome === "refused" &&
  !AGAIN_CODES.has(answer.code) &&
  (answer.code !== "id_reused" || (item.signed ?? 1) === 1);

/** What follows from a round of answers; the same function as kit/outbox.py, and held to it by the vectors. */
export function settle(pending, following, answers) {
  const [answered, resend, behind] = [[], [], []];
  let refusal = null;
  let refused = [];
  let sequence = following;
  for (const item of pending) {
    const answer = answers[item.id] ?? { outcome: "unknown" };
    if (answer.outcome === "accepted" || answer.outcome === "rejected") {
      answered.push(item.id);
    } else if (refusal) {
      behind.push(item);
    } else if (judged(item, answer)) {
      refusal = answer;
      sequence = item.sequence;
      if (ORDER_CODES.has(answer.code)) {
        sequence = answer.expected ?? item.sequence;
        behind.push(item);
      } else {
        refused = [item.id];
      }
    } else {
      resend.push(item.id);
    }
  }
  // Nothing is signed anew whose answer is unknown: it may stand in the log already, with other bytes.
  if (!behind.every((item) => judged(item, answers[item.id]))) {
    return { answered, refused, resend: [...resend, ...behind.map((item) => item.id)], sign_again: [], next: following };
  }
  const again = behind.map((item, offset) => ({
    id: item.id,
    sequence: sequence + offset,
    signed: (item.signed ?? 1) + 1,
  }));
  return { answered, refused, resend, sign_again: again, next: refusal ? sequence + again.length : following };
}

function syncFolder(folder) {
  const handle = openSync(folder, "r");
  fsyncSync(handle);
  closeSync(handle);
}

const line = (what) => {
  const said = JSON.stringify(what);
  return `${sha256(Buffer.from(said)).toString("hex").slice(0, 16)} ${said}\n`;
};

function readLine(text) {
  const said = text.slice(17);
  if (text[16] !== " " || sha256(Buffer.from(said)).toString("hex").slice(0, 16) !== text.slice(0, 16)) return null;
  return JSON.parse(said);
}

export class Outbox {
  /** Open the outbox of one signing key in a folder, or make it; another process that holds it is an error. */
  constructor(folder) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.#lock();
    this.path = join(folder, "outbox");
    this.#open();
  }

  // The journal begins with all that there is, so that it can be written anew when it has grown.
  #open() {
    this.next = null;
    this.pending = [];
    this.refused = [];
    this.lines = 0;
    this.handle = openSync(this.path, "a+");
    const data = readFileSync(this.path);
    let at = 0;
    while (at < data.length) {
      const end = data.indexOf(0x0a, at);
      const read = end < 0 ? null : readLine(data.subarray(at, end).toString("utf8"));
      if (read === null) {
        if (end >= 0 && end + 1 < data.length) throw new Error(`${this.path} is damaged at byte ${at}: restore a copy`);
        ftruncateSync(this.handle, at);
        fsyncSync(this.handle);
        break;
      }
      this.#apply(read);
      at = end + 1;
    }
    syncFolder(this.folder);
  }

  #apply(what) {
    const gone = new Set([...(what.answered ?? []), ...(what.withdrawn ?? []), ...(what.refused ?? []).map((one) => one.id)]);
    this.pending = this.pending.filter((item) => !gone.has(item.id));
    this.pending.push(...(what.put ?? []));
    const shown = new Set(what.shown ?? []);
    // A receipt is final: one that comes after a refusal takes its place, and never the other way round.
    this.refused = this.refused.filter((one) => !shown.has(one.id) && !(what.answered ?? []).includes(one.id));
    this.refused.push(...(what.refused ?? []));
    if (what.next !== undefined) this.next = what.next;
    this.lines += 1;
  }

  #write(what) {
    writeSync(this.handle, line(what));
    fsyncSync(this.handle);
    this.#apply(what);
    if (this.lines > LINES_MAX) this.#rewrite();
  }

  #rewrite() {
    const fresh = `${this.path}.new`;
    writeFileSync(fresh, line({ put: this.pending, refused: this.refused, next: this.next }), { flush: true });
    closeSync(this.handle);
    renameSync(fresh, this.path);
    this.#open();
  }

  /** Store signed statements: {id, sequence, signed, statement, signature, batch}. Only then may they be sent. */
  put(items) {
    this.#write({ put: items, next: items.at(-1).sequence + 1 });
  }

  /**
   * Settle a round of answers in one transaction; `sign` makes the items that are signed anew from those that were.
   * Returns what `settle` says.
   */
  settle(answers, sign) {
    const settled = settle(this.pending, this.next, answers);
    const of = new Map(this.pending.map((item) => [item.id, item]));
    const again = settled.sign_again.map(({ id, sequence, signed }) => {
      const { earlier = [], ...last } = of.get(id);
      return { ...last, sequence, signed, earlier: [...earlier, last] };
    });
    const refused = settled.refused.map((id) => ({ ...of.get(id), ...answers[id] }));
    const late = this.refused.filter((one) => ["accepted", "rejected"].includes(answers[one.id]?.outcome));
    const answered = [...settled.answered, ...late.map((one) => one.id)];
    if (answered.length || refused.length || again.length || settled.next !== this.next) {
      const withdrawn = again.map((item) => item.id);
      this.#write({ answered, refused, withdrawn, put: again.length ? sign(again) : [], next: settled.next });
    }
    return settled;
  }

  /** Forget refusals: whoever must know of them does. */
  shown(ids) {
    this.#write({ shown: ids });
  }

  close() {
    closeSync(this.handle);
    writeFileSync(this.lockPath, "0");
  }

  // One holder at a time. Locks are numbered: whoever makes the next number holds the outbox, and making a name is
  // atomic. A lock whose process is gone, or that was given back, may be followed by the next.
  #lock() {
    const mine = join(this.folder, `.lock.${process.pid}`);
    writeFileSync(mine, String(process.pid));
    try {
      const numbered = () =>
        readdirSync(this.folder).flatMap((name) => /^lock\.([0-9]+)$/.exec(name)?.[1] ?? []).map(Number);
      const numbers = numbered();
      const last = Math.max(0, ...numbers);
      if (last) {
        const holder = Number(readFileSync(join(this.folder, `lock.${last}`), "utf8"));
        if (holder && alive(holder)) throw new Error(`process ${holder} holds the outbox ${this.folder}`);
      }
      this.lockPath = join(this.folder, `lock.${last + 1}`);
      linkSync(mine, this.lockPath);
      // Whoever looked long ago may make a number that others have passed and taken away.
      if (Math.max(...numbered()) > last + 1) throw new Error(`another process holds the outbox ${this.folder}`);
      for (const number of numbers) if (number < last) unlinkSync(join(this.folder, `lock.${number}`));
    } catch (error) {
      throw error.code === "EEXIST" ? new Error(`another process just took the outbox ${this.folder}`) : error;
    } finally {
      unlinkSync(mine);
    }
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
