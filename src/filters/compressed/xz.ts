/** xz files ("The .xz File Format" 1.2.1): streams, whose indexes at their ends list the blocks. */
import { crc32 } from '../../codec/checksums.ts';
import { damaged } from '../../codec/damaged.ts';
import type { ByteStream } from '../../base/byteStream.ts';
import { littleEndian } from '../../base/bytes.ts';
import { MiB } from '../../base/offset.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { storageStream } from '../../storage/storageStream.ts';
import type { Expand, Layout } from './layout.ts';

/** Stream header and stream footer. */
const HEADER = 12;
/** Longest index that is read into memory: two million blocks at least. */
const LONGEST_INDEX = 32 * MiB;
/** Bytes of content between two blocks at which decoding may begin. */
const STEP = MiB;
/** Most such blocks of a file: a terabyte of content and more. */
const MOST_BLOCKS = 1_000_000;
/** Most streams of a file. */
const MOST_STREAMS = 100_000;

/** A block at which decoding may begin. */
interface Block {
  readonly place: number;
  /** Where its content begins in that of the stream. */
  readonly start: number;
}

/** One stream of a file. */
interface Stream {
  readonly place: number;
  readonly blocks: readonly Block[];
  readonly content: number;
}

/** A number of 7 bits a byte, least significant first (section 1.2). */
function number(bytes: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) break;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128 && value <= Number.MAX_SAFE_INTEGER) return { value, next: at + i + 1 };
  }
  throw damaged('xz', 'the index is wrong');
}

/** Looks at the sizes of the blocks in an index: with the block header, but for the padding behind it, and of the content (section 4). */
function forEachRecord(index: Uint8Array, look: (stored: number, content: number) => void): void {
  let { value: count, next: at } = number(index, 1);
  for (; count > 0; count--) {
    const stored = number(index, at);
    const content = number(index, stored.next);
    look(Math.ceil(stored.value / 4) * 4, content.value);
    at = content.next;
  }
}

/** The stream that ends at `end`. */
async function streamEndingAt(file: Storage, end: number): Promise<Stream> {
  const footer = await readAt(file, end - HEADER, HEADER);
  const fields = littleEndian(footer);
  const isFooter = footer[10] === 0x59 && footer[11] === 0x5a && fields.u32(0) === crc32(footer.subarray(4, 10));
  if (!isFooter) throw damaged('xz', 'the file is cut off');
  const indexSize = (fields.u32(4) + 1) * 4;
  const indexPlace = end - HEADER - indexSize;
  if (indexPlace < HEADER || indexSize > LONGEST_INDEX) throw damaged('xz', 'the index is wrong');
  const index = await readAt(file, indexPlace, indexSize);
  if (index[0] !== 0 || crc32(index.subarray(0, indexSize - 4)) !== littleEndian(index).u32(indexSize - 4)) {
    throw damaged('xz', 'the index is wrong');
  }
  let at = indexPlace;
  forEachRecord(index, (stored) => (at -= stored));
  const place = at - HEADER;
  if (place < 0) throw damaged('xz', 'the index is wrong');
  const blocks: Block[] = [];
  let content = 0;
  let last = -STEP;
  forEachRecord(index, (stored, length) => {
    if (content - last >= STEP) {
      blocks.push({ place: at, start: content });
      last = content;
    }
    if (blocks.length > MOST_BLOCKS) throw damaged('xz', 'it has too many blocks');
    at += stored;
    content += length;
  });
  return { place, blocks, content };
}

/** All streams, from the end of the file to its beginning: only ends tell where the beginnings are. */
async function streamsOf(file: Storage): Promise<Stream[]> {
  const streams: Stream[] = [];
  let blocks = 0;
  for (let end = file.size(); end > 0; ) {
    // Between and behind streams there may be zeroes, four at a time.
    if (end < 2 * HEADER) throw damaged('xz', 'the file is cut off');
    const last = await readAt(file, end - 4, 4);
    if (last.every((byte) => byte === 0)) {
      end -= 4;
      continue;
    }
    const stream = await streamEndingAt(file, end);
    streams.push(stream);
    blocks += stream.blocks.length;
    if (streams.length > MOST_STREAMS || blocks > MOST_BLOCKS) throw damaged('xz', 'it has too many blocks');
    end = stream.place;
  }
  return streams.toReversed();
}

/** The rest of a stream from one of its blocks on, and all streams behind it. */
class FromBlock implements ByteStream {
  readonly #next: () => Promise<ByteStream | undefined>;
  #stream: ByteStream;
  #left: number;

  /** @param left bytes of content up to the end of the stream, whose index does not fit what is left of it. */
  constructor(stream: ByteStream, left: number, next: () => Promise<ByteStream | undefined>) {
    this.#stream = stream;
    this.#left = left;
    this.#next = next;
  }

  async read(into: Uint8Array): Promise<number> {
    if (this.#left === 0) {
      const following = await this.#next();
      if (!following) return 0;
      await this.#stream.close();
      this.#stream = following;
      this.#left = Number.POSITIVE_INFINITY;
    }
    const count = await this.#stream.read(into.subarray(0, Math.min(into.length, this.#left)));
    this.#left -= count;
    return count;
  }

  async close(): Promise<void> {
    await this.#stream.close();
  }
}

/** A piece of memory and then a stream. */
function behind(head: Uint8Array, stream: ByteStream): ByteStream {
  let at = 0;
  return {
    read(into) {
      if (at === head.length) return stream.read(into);
      const count = Math.min(into.length, head.length - at);
      into.set(head.subarray(at, at + count));
      at += count;
      return count;
    },
    close: () => stream.close(),
  };
}

/** An xz file, which can be decoded from each of its blocks on. */
export async function xzLayout(file: Storage, expand: Expand): Promise<Layout> {
  const streams = await streamsOf(file);
  const starts: number[] = [];
  const places: { readonly stream: number; readonly block: Block; readonly left: number }[] = [];
  let size = 0;
  for (const [stream, { blocks, content }] of streams.entries()) {
    for (const block of blocks) {
      starts.push(size + block.start);
      places.push({ stream, block, left: content - block.start });
    }
    size += content;
  }
  const from = (stream: number): Promise<ByteStream> => expand(storageStream(file, streams[stream]?.place));
  return {
    size,
    starts: starts.length > 0 ? starts : [0],
    async open(start) {
      const place = places[start];
      if (start === 0 || !place) return expand(storageStream(file));
      const own = streams[place.stream] as Stream;
      const header = await readAt(file, own.place, HEADER);
      const rest = await expand(behind(header, storageStream(file, place.block.place)));
      const next = place.stream + 1;
      return new FromBlock(rest, place.left, async () => (next < streams.length ? from(next) : undefined));
    },
  };
}
