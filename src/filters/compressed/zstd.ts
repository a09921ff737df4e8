/**
 * zstd files (RFC 8878): frames, most of which state the size of their content; and those in the seekable format of
 * zstd's `contrib`, which have a table of their frames at the end.
 */
import { littleEndian } from '../../base/bytes.ts';
import { KiB, MiB } from '../../base/offset.ts';
import { frameHead } from '../../codec/zstdFrame.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { storageStream } from '../../storage/storageStream.ts';
import { type Expand, type Layout, plainLayout } from './layout.ts';

const SEEK_MAGIC = 0x8f92eab1;
const SEEK_FOOTER = 9;
const SKIPPABLE_HEAD = 8;
const SEEK_TABLE_FRAME = 0x184d2a5e;
const LONGEST_TABLE = 64 * MiB;
/** A frame's header, longest. */
const FRAME_HEAD = 18;
const BLOCK_HEAD = 3;
const RLE_BLOCK = 1;
const CHECKSUM = 4;
/** Bytes that are read at a time to pass over blocks: most are shorter. */
const READ = 4 * KiB;
/** Bytes of content between two places where decoding may begin. */
const STEP = MiB;

/** Where frames begin, and what they hold. */
interface Frames {
  readonly size: number;
  readonly starts: readonly number[];
  readonly places: readonly number[];
}

/** Gathers the frames of a file. */
class FrameList implements Frames {
  size = 0;
  readonly starts: number[] = [];
  readonly places: number[] = [];

  add(place: number, content: number): void {
    const last = this.starts.at(-1);
    if (last === undefined || this.size - last >= STEP) {
      this.starts.push(this.size);
      this.places.push(place);
    }
    this.size += content;
  }
}

/** The table at the end of a file in the seekable format; undefined if there is none that fits the file. */
async function seekTable(file: Storage): Promise<Frames | undefined> {
  const total = file.size();
  if (total < SKIPPABLE_HEAD + SEEK_FOOTER) return undefined;
  const footer = littleEndian(await readAt(file, total - SEEK_FOOTER, SEEK_FOOTER));
  const flags = footer.u8(4);
  if (footer.u32(5) !== SEEK_MAGIC || (flags & 0x7c) !== 0) return undefined;
  const count = footer.u32(0);
  const entry = flags & 0x80 ? 12 : 8;
  const length = SKIPPABLE_HEAD + count * entry + SEEK_FOOTER;
  if (length > total || length > LONGEST_TABLE) return undefined;
  const table = littleEndian(await readAt(file, total - length, length));
  if (table.u32(0) !== SEEK_TABLE_FRAME || table.u32(4) !== length - SKIPPABLE_HEAD) return undefined;
  const frames = new FrameList();
  let place = 0;
  for (let i = 0; i < count; i++) {
    const at = SKIPPABLE_HEAD + i * entry;
    frames.add(place, table.u32(at + 4));
    place += table.u32(at);
  }
  return place === total - length && count > 0 ? frames : undefined;
}

/** Passes over the blocks of a frame; returns where it ends, or undefined if that is not in the file. */
async function endOfBlocks(file: Storage, from: number): Promise<number | undefined> {
  const total = file.size();
  let held = new Uint8Array(0);
  let heldAt = from;
  for (let at = from; at + BLOCK_HEAD <= total; ) {
    if (at < heldAt || at + BLOCK_HEAD > heldAt + held.length) {
      held = new Uint8Array(Math.min(READ, total - at));
      await file.read(at, held);
      heldAt = at;
    }
    const head = littleEndian(held).u16(at - heldAt) + (held[at - heldAt + 2] as number) * 65536;
    at += BLOCK_HEAD + (((head >> 1) & 3) === RLE_BLOCK ? 1 : head >>> 3);
    if (head & 1) return at;
  }
  return undefined;
}

/** Walks from frame to frame; undefined if one does not say how much it holds, or the file is no row of frames. */
async function walk(file: Storage): Promise<Frames | undefined> {
  const total = file.size();
  const frames = new FrameList();
  for (let at = 0; at < total; ) {
    const bytes = await readAt(file, at, Math.min(FRAME_HEAD, total - at));
    const head = frameHead(bytes);
    if (!head) return undefined;
    if ('skip' in head) {
      at += head.skip;
      continue;
    }
    if (head.contentSize === undefined) return undefined;
    frames.add(at, head.contentSize);
    const end = await endOfBlocks(file, at + head.length);
    if (end === undefined) return undefined;
    at = end + (head.checksum ? CHECKSUM : 0);
  }
  return frames.starts.length > 0 ? frames : undefined;
}

/** A zstd file, which can be decoded from each of its frames on. */
export async function zstdLayout(file: Storage, expand: Expand): Promise<Layout> {
  const frames = (await seekTable(file)) ?? (await walk(file));
  if (!frames) return plainLayout(file, expand);
  const { size, starts, places } = frames;
  return { size, starts, open: (start) => expand(storageStream(file, start === 0 ? 0 : places[start])) };
}
