/** zip archives (APPNOTE.TXT 6.3.10), also those with 64-bit sizes. */
import { invalidImage } from '../../base/error.ts';
import { type Fields, littleEndian } from '../../base/bytes.ts';
import { textOf } from '../../base/text.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { Member } from './member.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
/** Lengths of the fixed parts. */
const LOCAL_SIZE = 30;
const CENTRAL_SIZE = 46;
const END_SIZE = 22;
const END_64_SIZE = 56;
const LOCATOR_SIZE = 20;
/** A comment may follow the end record. */
const LONGEST_COMMENT = 65535;
const LONGEST_DIRECTORY = 64 * 1024 * 1024;
/** A field that says that its value is in the extra field. */
const IN_EXTRA = 0xffffffff;
const EXTRA_64 = 1;
const ENCRYPTED = 1;
const METHODS: Readonly<Record<number, Member['method']>> = { 0: 'stored', 8: 'deflate-raw' };

function damage(what: string): Error {
  return invalidImage(`The zip archive is damaged: ${what}`);
}

/** Where the central directory is. */
interface Directory {
  readonly place: number;
  readonly length: number;
  readonly count: number;
}

async function directoryOf(file: Storage): Promise<Directory> {
  const total = file.size();
  const length = Math.min(total, END_SIZE + LONGEST_COMMENT);
  const tail = await readAt(file, total - length, length);
  const fields = littleEndian(tail);
  for (let at = length - END_SIZE; at >= 0; at--) {
    if (tail[at] !== 0x50 || fields.u32(at) !== END || at + END_SIZE + fields.u16(at + 20) > length) continue;
    if (fields.u16(at + 4) !== 0 && fields.u16(at + 4) !== 0xffff) throw damage('it is a part of several');
    const own = { count: fields.u16(at + 10), length: fields.u32(at + 12), place: fields.u32(at + 16) };
    const isLarge = own.count === 0xffff || own.length === IN_EXTRA || own.place === IN_EXTRA;
    return isLarge ? ((await large(file, total - length + at)) ?? own) : own;
  }
  throw damage('it has no directory, so it is cut off');
}

/** What the record for large archives says, which stands in front of the end record at `end`. */
async function large(file: Storage, end: number): Promise<Directory | undefined> {
  if (end < LOCATOR_SIZE) return undefined;
  const locator = littleEndian(await readAt(file, end - LOCATOR_SIZE, LOCATOR_SIZE));
  if (locator.u32(0) !== LOCATOR_64) return undefined;
  const record = littleEndian(await readAt(file, locator.u64(8), END_64_SIZE));
  if (record.u32(0) !== END_64) throw damage('its directory is not where it should be');
  return { count: record.u64(32), length: record.u64(40), place: record.u64(48) };
}

/** Sizes and place of an entry, as far as they are in its extra field (4.5.3). */
function entryNumbers(entry: Fields, extra: Fields): { size: number; stored: number; place: number } {
  let size = entry.u32(24);
  let stored = entry.u32(20);
  let place = entry.u32(42);
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.u16(at + 2)) {
    if (extra.u16(at) !== EXTRA_64) continue;
    let next = at + 4;
    const take = (): number => {
      next += 8;
      return extra.u64(next - 8);
    };
    if (size === IN_EXTRA) size = take();
    if (stored === IN_EXTRA) stored = take();
    if (place === IN_EXTRA) place = take();
  }
  return { size, stored, place };
}

/** Where the bytes of an entry begin: behind its local header, whose names need not be those of the directory. */
async function dataOf(file: Storage, place: number): Promise<number> {
  const local = littleEndian(await readAt(file, place, LOCAL_SIZE));
  if (local.u32(0) !== LOCAL) throw damage('a member is not where it should be');
  return place + LOCAL_SIZE + local.u16(26) + local.u16(28);
}

/** The files in a zip archive, in the order of its directory. */
export async function zipMembers(file: Storage): Promise<Member[]> {
  const directory = await directoryOf(file);
  const { place: start, length } = directory;
  if (length > LONGEST_DIRECTORY) throw damage('the directory is too long');
  if (start + length > file.size()) throw damage('it is cut off');
  const bytes = await readAt(file, start, length);
  const members: Member[] = [];
  let at = 0;
  for (let i = 0; i < directory.count; i++) {
    if (at + CENTRAL_SIZE > bytes.length) throw damage('the directory is too short');
    const entry = littleEndian(bytes.subarray(at));
    if (entry.u32(0) !== CENTRAL) throw damage('the directory is wrong');
    const [nameLength, extraLength, commentLength] = [entry.u16(28), entry.u16(30), entry.u16(32)];
    const name = textOf(bytes.subarray(at + CENTRAL_SIZE, at + CENTRAL_SIZE + nameLength));
    const extraAt = at + CENTRAL_SIZE + nameLength;
    const extra = littleEndian(bytes.subarray(extraAt, extraAt + extraLength));
    at = extraAt + extraLength + commentLength;
    if (name.endsWith('/')) continue;
    members.push(await memberOf(file, name, entry, extra));
  }
  return members;
}

async function memberOf(file: Storage, name: string, entry: Fields, extra: Fields): Promise<Member> {
  const { size, stored, place } = entryNumbers(entry, extra);
  const number = entry.u16(10);
  const method = METHODS[number];
  const common = { name, size, sum: entry.u32(16) };
  const problem = (entry.u16(8) & ENCRYPTED) !== 0 ? 'it is encrypted' : `compression method ${number} is not known`;
  if (method === undefined || (entry.u16(8) & ENCRYPTED) !== 0) {
    return { ...common, pieces: [], method: 'stored', problem };
  }
  const from = await dataOf(file, place);
  if (from + stored > file.size()) throw damage('it is cut off');
  if (method === 'stored' && stored !== size) throw damage('the sizes of a member differ');
  return { ...common, method, pieces: stored > 0 ? [{ offset: 0, length: stored, place: from }] : [] };
}
