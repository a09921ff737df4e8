/** Feature bits and their names. */
import { utf8Bytes } from '../../../base/bytes.ts';
import { unsupported } from '../../../base/error.ts';
import { textOf } from '../../../base/text.ts';
import { KNOWN_INCOMPATIBLE } from './layout.ts';

/** Type byte of a feature name. */
const KINDS = { incompatible: 0, compatible: 1, autoclear: 2 } as const;
/** Bytes of an entry in the feature name table: type, bit, name. */
const ENTRY = 48;

/** The names that a new image records, in this order (feature name table extension). */
const NAMES: readonly (readonly [kind: number, bit: number, name: string])[] = [
  [KINDS.incompatible, 0, 'dirty bit'],
  [KINDS.incompatible, 1, 'corrupt bit'],
  [KINDS.incompatible, 2, 'external data file'],
  [KINDS.incompatible, 3, 'compression type'],
  [KINDS.incompatible, 4, 'extended L2 entries'],
  [KINDS.compatible, 0, 'lazy refcounts'],
  [KINDS.autoclear, 0, 'bitmaps'],
  [KINDS.autoclear, 1, 'raw external data'],
];

/** The feature name table of a new image. */
export function encodeFeatureNames(): Uint8Array {
  const table = new Uint8Array(NAMES.length * ENTRY);
  NAMES.forEach(([kind, bit, name], index) => {
    table[index * ENTRY] = kind;
    table[index * ENTRY + 1] = bit;
    table.set(utf8Bytes(name), index * ENTRY + 2);
  });
  return table;
}

/**
 * Refuses an image with incompatible features that are not known, by the names in its own table.
 * @param bits the incompatible feature bits of the header.
 * @param table finds the content of the feature name table extension, if there is one.
 */
export function checkIncompatible(bits: bigint, table: () => Uint8Array | undefined): void {
  let unknown = bits & ~BigInt(KNOWN_INCOMPATIBLE);
  if (unknown === 0n) return;
  const names: string[] = [];
  const entries = table() ?? new Uint8Array();
  for (let at = 0; at + ENTRY <= entries.length; at += ENTRY) {
    // As in the real tool, an entry without a name ends the table.
    if (entries[at + 2] === 0) break;
    const bit = entries[at + 1] ?? 0;
    if (entries[at] !== KINDS.incompatible || bit > 63 || !((unknown >> BigInt(bit)) & 1n)) continue;
    const text = entries.subarray(at + 2, at + ENTRY);
    const end = text.indexOf(0);
    names.push(textOf(end < 0 ? text : text.subarray(0, end)));
    unknown &= ~(1n << BigInt(bit));
  }
  if (unknown !== 0n) names.push(`Unknown incompatible feature: ${unknown.toString(16)}`);
  throw unsupported(`Unsupported qcow2 feature(s): ${names.join(', ')}`);
}
