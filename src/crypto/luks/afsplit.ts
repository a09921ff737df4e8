/**
 * The anti-forensic splitter of LUKS ("LUKS On-Disk Format Specification", section 2.4): spreads a key over many stripes
 * such that it cannot be had back once any bit of them is gone.
 */
import type { CryptoPort } from '../crypto.ts';
import { HASH_LENGTHS, type HashName } from '../spec.ts';

/** Replaces each digest-sized piece of `block` by the hash of its number (32 bits, big endian) and itself. */
function diffuse(port: CryptoPort, hash: HashName, block: Uint8Array): void {
  const size = HASH_LENGTHS[hash];
  for (let at = 0, index = 0; at < block.length; at += size, index++) {
    const piece = block.subarray(at, Math.min(at + size, block.length));
    const input = new Uint8Array(4 + piece.length);
    input[3] = index;
    input.set(piece, 4);
    piece.set(port.hash(hash, input).subarray(0, piece.length));
  }
}

function xorInto(target: Uint8Array, source: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i]! ^= source[i]!;
}

/** Hash chain over all stripes but the last. */
function chain(port: CryptoPort, hash: HashName, material: Uint8Array, keyLength: number, stripes: number): Uint8Array {
  const block = new Uint8Array(keyLength);
  for (let i = 0; i < stripes - 1; i++) {
    xorInto(block, material.subarray(i * keyLength, (i + 1) * keyLength));
    diffuse(port, hash, block);
  }
  return block;
}

/** Writes `key`, split into `stripes` pieces of its own length, to the beginning of `material`. */
export function splitKey(
  port: CryptoPort,
  hash: HashName,
  key: Uint8Array,
  stripes: number,
  material: Uint8Array,
): void {
  const last = (stripes - 1) * key.length;
  port.fillRandom(material.subarray(0, last));
  const block = chain(port, hash, material, key.length, stripes);
  xorInto(block, key);
  material.set(block, last);
}

/** The key that was split into the beginning of `material`. */
export function mergeKey(
  port: CryptoPort,
  hash: HashName,
  material: Uint8Array,
  keyLength: number,
  stripes: number,
): Uint8Array {
  const key = chain(port, hash, material, keyLength, stripes);
  xorInto(key, material.subarray((stripes - 1) * keyLength, stripes * keyLength));
  return key;
}
