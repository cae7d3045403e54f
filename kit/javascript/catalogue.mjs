// The schemas and code lists of a checkout, or of the folder `schemas` that an agency was given.

import { readFileSync, readdirSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { FormatError, codec } from "./avro.mjs";

export class Catalogue {
  constructor(folder) {
    this.folder = folder;
    this.released = new Map();
    this.ids = new Map();
    for (const line of readFileSync(join(folder, "RELEASED"), "utf8").split("\n")) {
      const [name, version, id, digest] = line.split(/\s+/);
      if (!digest || name.startsWith("#") || name.startsWith("codes/")) continue;
      this.released.set(`${name}.${version}`, digest);
      this.ids.set(`${name}.${version}`, Number(id));
    }
    this.drafts = new Set(
      readdirSync(join(folder, "drafts"))
        .filter((name) => name.endsWith(".avsc"))
        .map((name) => name.slice(0, -".avsc".length)),
    );
    this.codecs = new Map();
    this.lists = new Map();
  }

  /** The codec of a schema that is no act, such as `statement`. */
  named(name) {
    return this.#codec(`${name}.avsc`, this.released.get(`${name}.1`));
  }

  /** Whether an act is released; FormatError where there is none of this name and version. */
  isReleased(act, version) {
    if (this.released.has(`${act}.${version}`)) return true;
    if (this.drafts.has(`${act}.${version}`)) return false;
    throw new FormatError(`no act ${act} in version ${version}`, "act");
  }

  /** The codec of an act's body. */
  body(act, version) {
    const name = `${act}.${version}`;
    const folder = this.isReleased(act, version) ? "acts" : "drafts";
    return this.#codec(join(folder, `${name}.avsc`), this.released.get(name));
  }

  #codec(path, digest) {
    if (!this.codecs.has(path)) {
      const data = readFileSync(join(this.folder, path));
      // A schema that was altered would sign other bytes than its author meant.
      if (digest && createHash("sha256").update(data).digest("hex") !== digest) {
        throw new Error(`${path} is not the file that was released`);
      }
      this.codecs.set(path, codec(JSON.parse(data)));
    }
    return this.codecs.get(path);
  }

  /** The codes of a list. Its files are TOML, of which these lines alone are needed. */
  codes(name) {
    if (!this.lists.has(name)) {
      const [, rows] = readFileSync(join(this.folder, "codes", `${name}.toml`), "utf8").split("\n[codes]\n");
      const found = [...rows.matchAll(/^"?([A-Za-z0-9_./+-]+)"? *=/gm)].map((match) => match[1]);
      this.lists.set(name, new Set(found));
    }
    return this.lists.get(name);
  }
}
