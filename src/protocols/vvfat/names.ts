/** Names in FAT directories: short ones (8.3), and long ones in entries of their own (VFAT). */
import { littleEndian } from '../../base/bytes.ts';
import { bytesOf, isEscaped } from '../../base/text.ts';
import { ENTRY } from './geometry.ts';

/** Characters of short names besides letters and digits. */
const VALID = "$%'-_@~`!(){}^#&";
/** UTF-16 units in an entry of a long name, and where they are. */
const UNITS_AT = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LONG_NAME = 0x0f;
const LAST = 0x40;

/** The characters of a part of a short name, and whether some were left out. */
function part(text: string, longest: number): { readonly text: string; readonly lossy: boolean } {
  let found = '';
  let lossy = false;
  for (const character of text) {
    const upper = character >= 'a' && character <= 'z' ? character.toUpperCase() : character;
    const valid = (upper >= 'A' && upper <= 'Z') || (upper >= '0' && upper <= '9') || VALID.includes(upper);
    if (valid && upper.length === 1 && found.length < longest) found += upper;
    else lossy = true;
  }
  return { text: found, lossy };
}

/**
 * A short name of 11 characters that is not yet taken in its directory.
 * @param taken short names of the directory; the new one is added.
 * @returns undefined if there are too many names of that kind.
 */
export function shortName(name: string, taken: Set<string>): string | undefined {
  const walked = isEscaped(name) ? asWalked(name) : name;
  const start = walked.search(/[^.]/);
  const rest = start < 0 ? '' : walked.slice(start);
  const lastDot = rest.lastIndexOf('.');
  const stem = lastDot < 0 ? rest : rest.slice(0, lastDot);
  const firstDot = stem.indexOf('.');
  const base = part(firstDot < 0 ? stem : stem.slice(0, firstDot), 8);
  const extension = part(lastDot < 0 ? '' : rest.slice(lastDot + 1), 3);
  const lossy = base.lossy || extension.lossy || start !== 0 || firstDot >= 0 || base.text === '';
  const whole = (text: string): string => text.padEnd(8) + extension.text.padEnd(3);
  if (!lossy && !taken.has(whole(base.text))) {
    taken.add(whole(base.text));
    return whole(base.text);
  }
  for (let number = 1; number < 1000000; number++) {
    const tail = `~${number}`;
    const candidate = whole(base.text.slice(0, 8 - tail.length) + tail);
    if (taken.has(candidate)) continue;
    taken.add(candidate);
    return candidate;
  }
  return undefined;
}

/**
 * A name that is not UTF-8 as the real tool walks through it: a byte that starts a sequence takes along as many bytes as
 * it announces, whatever they are.
 */
function asWalked(name: string): string {
  const bytes = bytesOf(name);
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    text += byte < 0x80 ? String.fromCharCode(byte) : '\ufffd';
    at += byte < 0xc0 || byte >= 0xfe ? 1 : Math.clz32(~(byte << 24));
  }
  return text;
}

/** Checksum that ties long names to the short one. */
function checksum(short: string): number {
  let sum = 0;
  for (let i = 0; i < short.length; i++) sum = (((sum & 1) << 7) + (sum >>> 1) + short.charCodeAt(i)) & 0xff;
  return sum;
}

/** The entries of a long name, in the order of the directory: the last part of the name first. */
export function longNameEntries(name: string, short: string): Uint8Array {
  const units = name.slice(0, 255);
  const count = Math.max(1, Math.ceil(units.length / UNITS_AT.length));
  const fields = littleEndian(new Uint8Array(count * ENTRY));
  for (let index = 0; index < count; index++) {
    const at = (count - 1 - index) * ENTRY;
    fields.setU8(at, index + 1 + (index === count - 1 ? LAST : 0));
    fields.setU8(at + 11, LONG_NAME);
    fields.setU8(at + 13, checksum(short));
    for (const [i, place] of UNITS_AT.entries()) {
      const position = index * UNITS_AT.length + i;
      // A name that does not fill its entry ends with a zero, and what follows is all ones.
      const unit = position < units.length ? units.charCodeAt(position) : position === units.length ? 0 : 0xffff;
      fields.setU16(at + place, unit);
    }
  }
  return fields.bytes;
}
