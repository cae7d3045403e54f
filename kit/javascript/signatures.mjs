// Ed25519 under the one strict rule, signed messages, batches, and identifiers. Node's standard library alone.

import { createHash, createPrivateKey, createPublicKey, sign as signRaw, verify as verifyRaw } from "node:crypto";
import { FormatError } from "./avro.mjs";

export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

// --- keys ---

const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

export class PrivateKey {
  constructor(key) {
    this.private = key;
    this.public = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI.length);
    this.id = sha256(this.public);
  }

  /** The key of a 32-byte seed (RFC 8032 section 5.1.5). */
  static fromSeed(seed) {
    return new PrivateKey(createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" }));
  }

  /** The key of a PKCS #8 PEM file, as `comity key new` writes it. */
  static fromPem(text) {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType !== "ed25519") throw new FormatError("an Ed25519 key is needed", "key");
    return new PrivateKey(key);
  }

  sign(message) {
    return signRaw(null, message, this.private);
  }
}

// The eight points whose order divides the cofactor, in their canonical encodings.
const SMALL = new Set([
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]);
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

const little = (data) => BigInt(`0x${Buffer.from(data).reverse().toString("hex")}`);

/** Whether 32 bytes are of small order, or a second encoding of some point. */
function refusedPoint(point) {
  const y = little(point) & (2n ** 255n - 1n);
  return y >= P || SMALL.has(point.toString("hex")) || ((y === 1n || y === P - 1n) && point[31] >= 0x80);
}

/** Whether a signature holds: A and R canonical, neither of small order, s < L, no cofactor. */
export function holds(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  if (refusedPoint(publicKey) || refusedPoint(signature.subarray(0, 32))) return false;
  // OpenSSL checks this too; it is cheap to be sure.
  if (little(signature.subarray(32)) >= L) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: "der", type: "spki" });
    return verifyRaw(null, message, key, signature);
  } catch {
    return false; // not a point of the curve
  }
}

// --- registering a key: also in the subgroup of prime order. Slow, and asked once. ---

const mod = (value) => ((value % P) + P) % P;

function power(base, exponent) {
  let [result, square, rest] = [1n, mod(base), exponent];
  for (; rest; rest >>= 1n, square = mod(square * square)) if (rest & 1n) result = mod(result * square);
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));

function decodePoint(data) {
  const whole = little(data);
  const [sign, y] = [whole >> 255n, whole & (2n ** 255n - 1n)];
  if (y >= P) return null;
  const [u, v] = [mod(y * y - 1n), mod(D * y * y + 1n)];
  let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (P - 5n) / 8n));
  if (mod(v * x * x) === mod(-u) && u) x = mod(x * power(2n, (P - 1n) / 4n));
  if (mod(v * x * x) !== u || (x === 0n && sign)) return null;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

function addPoints([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const [a, b] = [mod((y1 - x1) * (y2 - x2)), mod((y1 + x1) * (y2 + x2))];
  const [c, d] = [mod(2n * D * t1 * t2), mod(2n * z1 * z2)];
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** Whether a key may be registered: canonical, on the curve, and in the subgroup of prime order. */
export function acceptableKey(publicKey) {
  if (publicKey.length !== 32 || refusedPoint(publicKey)) return false;
  let point = decodePoint(publicKey);
  if (!point) return false;
  let sum = [0n, 1n, 1n, 0n];
  for (let rest = L; rest; rest >>= 1n, point = addPoints(point, point)) if (rest & 1n) sum = addPoints(sum, point);
  return sum[0] === 0n && sum[1] === sum[2];
}

// --- the tree (RFC 6962) ---

export const leafHash = (data) => sha256(Buffer.from([0]), data);
export const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

/** The root that an inclusion path leads to (RFC 9162 section 2.1.3.2); null where it is none for this place. */
export function rootByPath(leaf, index, size, path) {
  if (index < 0n || index >= size || path.length > 63 || path.some((node) => node.length !== 32)) return null;
  let [at, last, node] = [index, size - 1n, leaf];
  for (const sibling of path) {
    if (last === 0n) return null;
    if (at & 1n || at === last) {
      node = nodeHash(sibling, node);
      while (!(at & 1n) && at) [at, last] = [at >> 1n, last >> 1n];
    } else {
      node = nodeHash(node, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  return last ? null : node;
}

/** The root over leaf hashes, and the path of each. */
export function batchPaths(leaves) {
  if (leaves.length === 1) return { root: leaves[0], paths: [[]] };
  let half = 1;
  while (2 * half < leaves.length) half *= 2;
  const [left, right] = [batchPaths(leaves.slice(0, half)), batchPaths(leaves.slice(half))];
  return {
    root: nodeHash(left.root, right.root),
    paths: [
      ...left.paths.map((path) => [...path, right.root]),
      ...right.paths.map((path) => [...path, left.root]),
    ],
  };
}

// --- what is signed ---

export const BATCH_SIZE_MAX = 4096;

export const statementMessage = (statement) => Buffer.concat([Buffer.from("comity.statement.v1\0"), statement]);

export function batchMessage(size, root) {
  const count = Buffer.alloc(8);
  count.writeBigUInt64BE(BigInt(size));
  return Buffer.concat([Buffer.from("comity.batch.v1\0"), count, root]);
}

/** The bytes under the signature of a statement; `batch` is null, or {size, index, path in hexadecimal}. */
export function signedMessage(statement, batch) {
  if (batch === null) return statementMessage(statement);
  if (batch.size < 1 || batch.size > BATCH_SIZE_MAX) {
    throw new FormatError(`a batch holds 1 to ${BATCH_SIZE_MAX} statements`, "batch.size");
  }
  const path = batch.path.map((node) => Buffer.from(node, "hex"));
  const root = rootByPath(leafHash(statement), BigInt(batch.index), BigInt(batch.size), path);
  if (root === null) throw new FormatError("is not one for this index and size", "batch.path");
  return batchMessage(batch.size, root);
}

/** Sign statements together: one signature, and the place of each. */
export function signBatch(key, statements) {
  const { root, paths } = batchPaths(statements.map(leafHash));
  const message = batchMessage(statements.length, root);
  const places = paths.map((path, index) => ({
    size: statements.length,
    index,
    path: path.map((node) => node.toString("hex")),
  }));
  return { root, message, signature: key.sign(message), places };
}

/** A UUIDv7 (RFC 9562 section 5.7): of an instant in microseconds since 1970, and ten random bytes. */
export function statementId(at, randomness) {
  const id = Buffer.alloc(16);
  id.writeUIntBE(Number(at / 1000n), 0, 6);
  randomness.copy(id, 6);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  return id;
}
