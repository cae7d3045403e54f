// The project's subset of Avro, strictly: one value has one encoding, and anything else is refused with its field.
//
// A codec is compiled from a schema file. Values are as JSON shows them: bytes in lower-case hexadecimal, fixed(16)
// as UUID text, instants as RFC 3339 text, arrays and objects; whole numbers are numbers, or decimal text beyond
// 2**53 - 1. Whole numbers are BigInt inside, for a number of JavaScript holds 53 bits only.

export const ITEMS_MAX = 64;
export const CHARACTERS_MAX = 64;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
const INSTANT_MIN = -62135596800000000n; // year 1
const INSTANT_MAX = 253402300799999999n; // year 9999

export class FormatError extends Error {
  constructor(what, field = "") {
    super(field ? `${field}: ${what}` : what);
    this.what = what;
    this.field = field;
  }

  within(name) {
    const joined = !this.field || this.field.startsWith("[") ? name + this.field : `${name}.${this.field}`;
    return new FormatError(this.what, joined);
  }
}

class EndsEarly extends Error {}

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  byte() {
    if (this.at >= this.data.length) throw new EndsEarly();
    return this.data[this.at++];
  }

  take(size) {
    if (this.at + size > this.data.length) throw new FormatError(`ends before its ${size} bytes do`);
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  long() {
    let number = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      number |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0n) throw new FormatError("a number not in its shortest form");
        if (number >> 64n) break;
        return (number >> 1n) ^ -(number & 1n);
      }
    }
    throw new FormatError("a number of more than 64 bits");
  }
}

export function zigzag(value) {
  let rest = value >= 0n ? value << 1n : (-value << 1n) - 1n;
  const out = [];
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Buffer.from(out);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const characters = (text) => [...text].length;

const LONG = {
  read: (from) => shownLong(from.long()),
  write(value) {
    const found = longOf(value);
    if (found < LONG_MIN || found > LONG_MAX) throw new FormatError("a number of more than 64 bits");
    return zigzag(found);
  },
};

export function longOf(value) {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^-?[0-9]+$/.test(value)) return BigInt(value);
  throw new FormatError("should be a whole number");
}

function shownLong(value) {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value.toString();
}

const INSTANT = {
  read(from) {
    const value = from.long();
    if (value < INSTANT_MIN || value > INSTANT_MAX) throw new FormatError("an instant outside the years 1 to 9999");
    return instantText(value);
  },
  write: (value) => zigzag(instantOf(value)),
};

export function instantText(micros) {
  const seconds = (micros - (((micros % 1000000n) + 1000000n) % 1000000n)) / 1000000n;
  const rest = micros - seconds * 1000000n;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return rest ? `${text}.${rest.toString().padStart(6, "0")}Z` : `${text}Z`;
}

export function instantOf(text) {
  const found = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z$/.exec(
    typeof text === "string" ? text : "",
  );
  if (!found || text.endsWith("\n")) throw new FormatError("should be an instant such as 2020-06-02T00:00:00Z");
  const parts = found.slice(1, 7).map(Number);
  const made = new Date(0);
  made.setUTCFullYear(parts[0], parts[1] - 1, parts[2]);
  made.setUTCHours(parts[3], parts[4], parts[5], 0);
  // A day such as the 30th of February would have moved on.
  if (parts[0] < 1 || made.toISOString().slice(0, 19) !== text.slice(0, 19)) throw new FormatError("no such instant");
  return BigInt(made.getTime()) * 1000n + BigInt((found[7] ?? "").padEnd(6, "0"));
}

const BOOLEAN = {
  read(from) {
    const byte = from.byte();
    if (byte > 1) throw new FormatError("neither true nor false");
    return byte === 1;
  },
  write(value) {
    if (typeof value !== "boolean") throw new FormatError("should be true or false");
    return Buffer.from([value ? 1 : 0]);
  },
};

const STRING = {
  read(from) {
    const size = from.long();
    // Four bytes a character at most: a longer one is refused before it is decoded.
    if (size < 0n || size > BigInt(4 * CHARACTERS_MAX)) throw new FormatError(`a length of ${size} bytes`);
    const data = from.take(Number(size));
    let text;
    try {
      text = decoder.decode(data);
    } catch {
      throw new FormatError("text that is not valid UTF-8");
    }
    if (characters(text) > CHARACTERS_MAX) throw new FormatError(`more than ${CHARACTERS_MAX} characters`);
    return text;
  },
  write(value) {
    if (typeof value !== "string") throw new FormatError("should be text");
    if (characters(value) > CHARACTERS_MAX) throw new FormatError(`more than ${CHARACTERS_MAX} characters`);
    if (!value.isWellFormed()) throw new FormatError("text that is not valid Unicode");
    const data = Buffer.from(value, "utf8");
    return Buffer.concat([zigzag(BigInt(data.length)), data]);
  },
};

function hexOf(value) {
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/.test(value)) {
    throw new FormatError("should be bytes in lower-case hexadecimal");
  }
  return Buffer.from(value, "hex");
}

function bytes(most) {
  return {
    read(from) {
      const size = from.long();
      if (size < 0n || size > BigInt(most)) throw new FormatError(`a length of ${size} bytes; at most ${most}`);
      return Buffer.from(from.take(Number(size))).toString("hex");
    },
    write(value) {
      const data = hexOf(value);
      if (data.length > most) throw new FormatError(`${data.length} bytes; at most ${most}`);
      return Buffer.concat([zigzag(BigInt(data.length)), data]);
    },
  };
}

export function uuidText(data) {
  const text = Buffer.from(data).toString("hex");
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
}

export function uuidOf(text) {
  if (typeof text !== "string" || !/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) {
    throw new FormatError("should be an identifier in UUID form");
  }
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

function fixed(size) {
  return {
    read: (from) => (size === 16 ? uuidText(from.take(16)) : Buffer.from(from.take(size)).toString("hex")),
    write(value) {
      const data = size === 16 ? uuidOf(value) : hexOf(value);
      if (data.length !== size) throw new FormatError(`should be ${size} bytes, is ${data.length}`);
      return data;
    },
  };
}

function enumeration(symbols) {
  return {
    read(from) {
      const index = from.long();
      if (index < 0n || index >= BigInt(symbols.length)) throw new FormatError(`symbol ${index} is not known`);
      return symbols[Number(index)];
    },
    write(value) {
      const index = symbols.indexOf(value);
      if (index < 0) throw new FormatError(`should be one of ${symbols.join(", ")}`);
      return zigzag(BigInt(index));
    },
  };
}

function nullable(inner) {
  return {
    read(from) {
      const branch = from.byte();
      if (branch === 0) return null;
      if (branch !== 2) throw new FormatError("neither absent nor present");
      return inner.read(from);
    },
    write: (value) => (value === null ? Buffer.from([0]) : Buffer.concat([Buffer.from([2]), inner.write(value)])),
  };
}

function array(inner, most) {
  const within = (index, what) => {
    try {
      return what();
    } catch (error) {
      throw error instanceof FormatError ? error.within(`[${index}]`) : error;
    }
  };
  return {
    read(from) {
      const count = from.long();
      if (count === 0n) return [];
      if (count < 0n || count > BigInt(most)) throw new FormatError(`a block of ${count} items; at most ${most}`);
      const items = [];
      for (let index = 0; index < Number(count); index++) items.push(within(index, () => inner.read(from)));
      if (from.byte() !== 0) throw new FormatError("more than one block");
      return items;
    },
    write(value) {
      if (!Array.isArray(value)) throw new FormatError("should be a list");
      if (value.length > most) throw new FormatError(`${value.length} items; at most ${most}`);
      if (!value.length) return Buffer.from([0]);
      const items = value.map((item, index) => within(index, () => inner.write(item)));
      return Buffer.concat([zigzag(BigInt(value.length)), ...items, Buffer.from([0])]);
    },
  };
}

function record(fields) {
  const names = new Set(fields.map((field) => field.name));
  return {
    read(from) {
      const value = {};
      for (const { name, type } of fields) {
        try {
          value[name] = type.read(from);
        } catch (error) {
          if (error instanceof EndsEarly) throw new FormatError("ends too early", name);
          throw error instanceof FormatError ? error.within(name) : error;
        }
      }
      return value;
    },
    write(value) {
      if (value === null || typeof value !== "object" || Array.isArray(value)) {
        throw new FormatError("should be a group of fields");
      }
      for (const name of Object.keys(value)) {
        if (!names.has(name)) throw new FormatError("no such field", name.slice(0, CHARACTERS_MAX));
      }
      return Buffer.concat(
        fields.map(({ name, type, optional, otherwise }) => {
          if (!(name in value) && !optional) throw new FormatError("missing", name);
          try {
            return type.write(name in value ? value[name] : otherwise);
          } catch (error) {
            throw error instanceof FormatError ? error.within(name) : error;
          }
        }),
      );
    },
  };
}

function compile(schema, space, properties, known) {
  if (Array.isArray(schema)) return nullable(compile(schema[1], space, properties, known));
  if (typeof schema === "string") {
    if (schema === "long") return LONG;
    if (schema === "boolean") return BOOLEAN;
    if (schema === "string") return STRING;
    if (schema === "bytes") return bytes(properties.max_bytes);
    return compile(known.get(schema.includes(".") ? schema : `${space}.${schema}`), space, properties, known);
  }
  if (schema.type === "long") return INSTANT;
  if (schema.type === "array") {
    return array(compile(schema.items, space, properties, known), properties.max_items ?? ITEMS_MAX);
  }
  const inner = schema.namespace ?? space;
  known.set(`${inner}.${schema.name}`, schema);
  if (schema.type === "fixed") return fixed(schema.size);
  if (schema.type === "enum") return enumeration(schema.symbols);
  return record(
    schema.fields.map((field) => ({
      name: field.name,
      type: compile(field.type, inner, field, known),
      optional: "default" in field,
      otherwise: field.default,
    })),
  );
}

/** Return what encodes and decodes the values of a record schema. */
export function codec(schema) {
  const type = compile(schema, schema.namespace, {}, new Map());
  return {
    encode: (value) => type.write(value),
    decode(data) {
      const from = new Reader(data);
      const value = type.read(from);
      if (from.at !== data.length) throw new FormatError(`${data.length - from.at} bytes too many at the end`);
      return value;
    },
  };
}
