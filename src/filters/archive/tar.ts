/**
 * tar archives: POSIX `ustar` and `pax` (IEEE Std 1003.1), long names and sparse members of GNU tar ("GNU tar", appendix D:
 * the old format, and 0.0, 0.1 and 1.0 in pax headers).
 */
import { invalidImage } from '../../base/error.ts';
import { textOf } from '../../base/text.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { type Member, type Piece, SEEKS } from './member.ts';

const BLOCK = 512;
/** Longest header of a header: names and sparse maps are in them. */
const LONGEST_EXTRA = 16 * 1024 * 1024;
/** Longest name in bytes: sixteen times what Linux can open. */
const LONGEST_NAME = 65536;
/** Most members, and most pieces of all of them, that are kept. */
const MOST = 500_000;
/** Longest line of a sparse map with a number in it. */
const LONGEST_LINE = 32;

/** What headers in front of a member say of it. */
type Records = Pick<ReadonlyMap<string, string>, 'get'>;

function damage(what: string): Error {
  return invalidImage(`The tar archive is damaged: ${what}`);
}

/** Text up to the first zero byte. */
function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return textOf(end < 0 ? field : field.subarray(0, end));
}

/** A number in octal digits, or in GNU's binary form for large ones. */
function number(bytes: Uint8Array, at: number, length: number): number {
  const first = bytes[at] as number;
  if (first === 0x80) {
    let value = 0;
    for (let i = 1; i < length; i++) value = value * 256 + (bytes[at + i] as number);
    if (Number.isSafeInteger(value)) return value;
    throw damage('a number is too large');
  }
  const digits = text(bytes, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw damage('a number is none');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function hasChecksum(head: Uint8Array): boolean {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += head[at] as number;
  const digits = text(head, 148, 8).trim();
  return /^[0-7]+$/.test(digits) && Number.parseInt(digits, 8) === sum;
}

/** Records of a pax header: `LENGTH KEY=VALUE\n`, the length that of all of it. */
function recordsOf(bytes: Uint8Array, into: Map<string, string>): void {
  const sparse: string[] = [];
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(text(bytes, at, Math.max(0, space - at)));
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > bytes.length)
      throw damage('a pax record');
    const record = textOf(bytes.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    // Format 0.0 has these once for each piece.
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') sparse.push(value);
    else if (key === 'size' || key === 'path' || key.startsWith('GNU.sparse.')) into.set(key, value);
    at += length;
  }
  if (sparse.length > 0) into.set('GNU.sparse.map', sparse.join(','));
}

/** A piece of a sparse member: where it is in the member, and how long. */
type Extent = readonly [offset: number, length: number];

function wholeNumber(value: string | undefined): number {
  const parsed = Number(value);
  if (value === undefined || !/^\d+$/.test(value) || !Number.isSafeInteger(parsed)) throw damage('a sparse map');
  return parsed;
}

function pairs(numbers: readonly string[]): Extent[] {
  if (numbers.length % 2 !== 0 || numbers.length / 2 > MOST) throw damage('a sparse map');
  return Array.from({ length: numbers.length / 2 }, (_, i) => [
    wholeNumber(numbers[2 * i]),
    wholeNumber(numbers[2 * i + 1]),
  ]);
}

/** Format 1.0: the map stands in front of the data, as lines with numbers, in whole blocks. */
async function mapInFront(file: Storage, at: number, end: number): Promise<{ extents: Extent[]; length: number }> {
  const numbers: string[] = [];
  let line = '';
  for (let read = at; ; read += BLOCK) {
    if (read + BLOCK > end || read - at > LONGEST_EXTRA || line.length > LONGEST_LINE) throw damage('a sparse map');
    const lines = (line + textOf(await readAt(file, read, BLOCK))).split('\n');
    // The last element is not complete.
    line = lines.pop() ?? '';
    numbers.push(...lines);
    if (numbers.length === 0) continue;
    const wanted = 1 + 2 * wholeNumber(numbers[0]);
    if (wanted > 1 + 2 * MOST) throw damage('a sparse map');
    if (numbers.length >= wanted) return { extents: pairs(numbers.slice(1, wanted)), length: read + BLOCK - at };
  }
}

/** GNU's old sparse format: four pieces in the header, and more in blocks behind it. */
async function oldMap(file: Storage, head: Uint8Array, at: number): Promise<{ extents: Extent[]; next: number }> {
  const extents: Extent[] = [];
  const take = (bytes: Uint8Array, from: number, count: number): void => {
    for (let i = 0; i < count; i++) {
      const place = from + i * 24;
      if (bytes[place] === 0) return;
      extents.push([number(bytes, place, 12), number(bytes, place + 12, 12)]);
    }
  };
  take(head, 386, 4);
  let next = at;
  for (let more = head[482] !== 0; more; next += BLOCK) {
    if (next + BLOCK > file.size() || extents.length > MOST) throw damage('a sparse map');
    const block = await readAt(file, next, BLOCK);
    take(block, 0, 21);
    more = block[504] !== 0;
  }
  return { extents, next };
}

/** Places of the data of a sparse member, which lie behind each other. */
function piecesOf(extents: readonly Extent[], from: number, end: number, size: number): Piece[] {
  const pieces: Piece[] = [];
  let place = from;
  let last = 0;
  for (const [offset, length] of extents) {
    if (offset < last || offset + length > size || place + length > end) throw damage('a sparse map');
    if (length > 0) pieces.push({ offset, length, place });
    last = offset + length;
    place += length;
  }
  return pieces;
}

/** Types of members that are files: the second one is older, the third one lies on the disk in one piece. */
const FILES = new Set(['0', '\0', '7']);

/** Goes through an archive. */
class Walk {
  readonly #file: Storage;
  readonly #global: Map<string, string> = new Map<string, string>();
  #own: Map<string, string> = new Map<string, string>();
  readonly members: Member[] = [];
  /** Members and their pieces. */
  #kept = 0;

  constructor(file: Storage) {
    this.#file = file;
  }

  async run(): Promise<void> {
    const total = this.#file.size();
    for (let at = 0; at + BLOCK <= total; ) {
      const head = await readAt(this.#file, at, BLOCK);
      if (head.every((byte) => byte === 0)) return;
      if (!hasChecksum(head)) throw damage(`the header at ${at} has a wrong checksum`);
      at = await this.#member(head, at + BLOCK);
    }
    // Archives that were put together by hand may lack the blocks of zeroes; one that is cut off ends in a member.
  }

  /** One member, whose data begin at `at`; returns where the next one begins. */
  async #member(head: Uint8Array, at: number): Promise<number> {
    const type = String.fromCharCode(head[156] as number);
    const [own, global] = [this.#own, this.#global];
    const records: Records = { get: (key) => own.get(key) ?? global.get(key) };
    const stated = records.get('size');
    const stored = stated === undefined ? number(head, 124, 12) : wholeNumber(stated);
    if (type === 'S') return this.#oldSparse(head, at, stored, records);
    const end = at + stored;
    const next = Math.ceil(end / BLOCK) * BLOCK;
    if (end > this.#file.size()) throw damage('it is cut off');
    if (type === 'L' || type === 'x' || type === 'g' || type === 'K') {
      if (stored > (type === 'L' ? LONGEST_NAME : LONGEST_EXTRA)) throw damage('a header is too long');
      const bytes = await readAt(this.#file, at, stored);
      if (type === 'L') this.#own.set('path', text(bytes, 0, stored));
      else if (type !== 'K') recordsOf(bytes, type === 'g' ? this.#global : this.#own);
      return next;
    }
    this.#own = new Map();
    if (FILES.has(type)) this.#keep(await this.#plain(nameOf(head, records), records, at, end));
    return next;
  }

  #keep(member: Member): void {
    this.#kept += 1 + member.pieces.length;
    if (this.#kept > 2 * MOST) throw damage('it has too many members');
    this.members.push(member);
  }

  async #plain(name: string, records: Records, at: number, end: number): Promise<Member> {
    const real = records.get('GNU.sparse.realsize') ?? records.get('GNU.sparse.size');
    const inFront = records.get('GNU.sparse.major') === '1';
    const listed = records.get('GNU.sparse.map');
    if (!inFront && listed === undefined) {
      const size = end - at;
      return { name, size, pieces: size > 0 ? [{ offset: 0, length: size, place: at }] : [], ...SEEKS };
    }
    const size = wholeNumber(real);
    if (inFront) {
      const { extents, length } = await mapInFront(this.#file, at, end);
      return { name, size, pieces: piecesOf(extents, at + length, end, size), ...SEEKS };
    }
    const extents = listed === '' ? [] : pairs((listed as string).split(','));
    return { name, size, pieces: piecesOf(extents, at, end, size), ...SEEKS };
  }

  async #oldSparse(head: Uint8Array, at: number, stored: number, records: Records): Promise<number> {
    const { extents, next } = await oldMap(this.#file, head, at);
    const size = number(head, 483, 12);
    const end = next + stored;
    if (end > this.#file.size()) throw damage('it is cut off');
    this.#own = new Map();
    this.#keep({ name: nameOf(head, records), size, pieces: piecesOf(extents, next, end, size), ...SEEKS });
    return Math.ceil(end / BLOCK) * BLOCK;
  }
}

function nameOf(head: Uint8Array, records: Records): string {
  const long = records.get('GNU.sparse.name') ?? records.get('path');
  if (long !== undefined && long.length > LONGEST_NAME) throw damage('a name is too long');
  if (long !== undefined) return long;
  const name = text(head, 0, 100);
  // Only POSIX archives have the rest of a long name there.
  const prefix = text(head, 257, 6) === 'ustar' ? text(head, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** The files in a tar archive, in its order; of two with one name the last one counts. */
export async function tarMembers(file: Storage): Promise<Member[]> {
  const walk = new Walk(file);
  await walk.run();
  return walk.members;
}
