/** gzip files (RFC 1952), and those of `bgzip`, whose members say how long they are ("BGZF", SAMv1 section 4.1). */
import { littleEndian } from '../../base/bytes.ts';
import { KiB, MiB } from '../../base/offset.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { storageStream } from '../../storage/storageStream.ts';
import { type Expand, type Layout, plainLayout } from './layout.ts';

/** A member's header up to the extra field, with room for some others in it. */
const HEAD = 64;
const FIXED = 12;
/** `ISIZE`, the length of the content. */
const TRAILER = 4;
/** Flag: there is an extra field. */
const EXTRA = 4;
/** Bytes of content between two places where decoding may begin. */
const STEP = MiB;
const MOST_CONTENT = 64 * KiB;
/** A member with nothing in it. */
const SHORTEST = 28;

/** Length of the member that begins with `head`, as BGZF states it; undefined if it is none. */
function memberLength(head: Uint8Array): number | undefined {
  if (head.length < 18 || head[0] !== 0x1f || head[1] !== 0x8b || ((head[3] as number) & EXTRA) === 0) return undefined;
  const fields = littleEndian(head);
  const end = Math.min(head.length, FIXED + fields.u16(10));
  for (let at = FIXED; at + 4 <= end; at += 4 + fields.u16(at + 2)) {
    if (head[at] === 0x42 && head[at + 1] === 0x43 && fields.u16(at + 2) === 2 && at + 6 <= end) {
      return fields.u16(at + 4) + 1;
    }
  }
  return undefined;
}

/** Looks through the members of a file of `bgzip`; undefined if it is another. */
async function members(file: Storage): Promise<{ size: number; starts: number[]; places: number[] } | undefined> {
  const total = file.size();
  const starts: number[] = [0];
  const places: number[] = [0];
  let size = 0;
  let head = await readAt(file, 0, Math.min(HEAD, total));
  for (let at = 0; at < total; ) {
    const length = memberLength(head);
    if (length === undefined || length < SHORTEST || at + length > total) return undefined;
    const next = at + length;
    const behind = await readAt(file, next - TRAILER, Math.min(TRAILER + HEAD, total - next + TRAILER));
    const content = littleEndian(behind).u32(0);
    if (content > MOST_CONTENT) return undefined;
    size += content;
    if (next < total && size - (starts.at(-1) as number) >= STEP) {
      starts.push(size);
      places.push(next);
    }
    head = behind.subarray(TRAILER);
    at = next;
  }
  return { size, starts, places };
}

/** A gzip file. The length that an ordinary one states is that of its last member, modulo 2^32: it is no help. */
export async function gzipLayout(file: Storage, expand: Expand): Promise<Layout> {
  const found = await members(file);
  if (!found) return plainLayout(file, expand);
  const { size, starts, places } = found;
  return { size, starts, open: (start) => expand(storageStream(file, places[start])) };
}
