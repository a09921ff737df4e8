/** The block tables of Apple disk images ("mish"), big endian: which guest sectors are stored where, and how. */
import { bigEndian, type Fields } from '../../base/bytes.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Unit } from '../../block/kit/decodedUnits.ts';
import type { Decompression } from '../../codec/codec.ts';

const SIGNATURE = 0x6d697368;
/** Bytes in front of the chunks of a table. */
export const HEADER_SIZE = 204;
/** Bytes of a chunk's entry. */
export const ENTRY_SIZE = 40;

/** Sectors in a stored chunk at most: 64 MiB. */
const MAX_SECTORS = 131072;
/** Stored bytes of a chunk at most. */
const MAX_STORED = 67108864;
/** Sectors from here on are beyond every disk. */
const SECTOR_LIMIT = 2 ** 54;

/** Type of chunks whose content does not matter; they read as zeroes. */
const IGNORED = 0x00000002;
/** How chunks are stored. Others are comments, the end of a table, or unknown. */
const METHODS: ReadonlyMap<number, Decompression['method'] | 'raw' | 'zero'> = new Map([
  [0x00000000, 'zero'],
  [0x00000001, 'raw'],
  [IGNORED, 'zero'],
  [0x80000004, 'adc'],
  [0x80000005, 'zlib'],
  [0x80000006, 'bzip2'],
  [0x80000007, 'lzfse'],
  [0x80000008, 'xz'],
]);
const COMMENT = 0x7ffffffe;
const END = 0xffffffff;

/** One chunk. */
export interface Chunk extends Unit {
  readonly method: Decompression['method'] | 'raw' | 'zero';
  /** Where the stored bytes are in the file. */
  readonly offset: number;
  readonly stored: number;
  /** The decoded bytes count in the checksum of the table. */
  readonly summed: boolean;
}

/** True for block tables; what else lies beside them does not count. */
export function isBlockTable(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_SIZE && bigEndian(bytes).u32(0) === SIGNATURE;
}

/** The chunks of all tables. */
export class ChunkList {
  readonly chunks: Chunk[] = [];
  /** The first type that nothing is known about. */
  unknownType: number | undefined;
  /** What is wrong with a chunk, in the real tool's words. */
  problem: string | undefined;

  /**
   * Adds a table; anything else is passed over.
   * @param dataFork where the data starts that tables count from.
   * @returns false if a chunk is damaged: then `problem` says how.
   */
  add(table: Uint8Array, dataFork: number): boolean {
    if (!isBlockTable(table)) return true;
    const fields = bigEndian(table);
    const first = fields.u64lossy(8);
    const base = dataFork + fields.u64lossy(24);
    // The number of entries that the header has is not looked at: the length of the table says it too.
    for (let at = HEADER_SIZE; at + ENTRY_SIZE <= table.length; at += ENTRY_SIZE) {
      if (!this.#addEntry(fields, at, first, base)) return false;
    }
    return true;
  }

  #addEntry(fields: Fields, at: number, first: number, base: number): boolean {
    const type = fields.u32(at);
    const method = METHODS.get(type);
    if (method === undefined) {
      if (type !== COMMENT && type !== END) this.unknownType ??= type;
      return true;
    }
    const sectors = fields.u64lossy(at + 16);
    const stored = fields.u64lossy(at + 32);
    this.problem = problemOf(method, this.chunks.length, fields.big64(at + 16), fields.big64(at + 32));
    if (this.problem !== undefined) return false;
    const start = (first + fields.u64lossy(at + 8)) * SECTOR;
    const length = Math.min(sectors, SECTOR_LIMIT) * SECTOR;
    this.chunks.push({
      key: this.chunks.length,
      method,
      start,
      length,
      offset: base + fields.u64lossy(at + 24),
      stored,
      summed: type !== IGNORED,
    });
    return true;
  }

  /** The chunks that hold bytes of a disk of `size` bytes, in order. */
  sorted(size: number): readonly Chunk[] {
    return this.chunks
      .filter(({ start, length }) => length > 0 && start < size)
      .sort((a, b) => a.start - b.start || a.key - b.key);
  }
}

function problemOf(method: Chunk['method'], index: number, sectors: bigint, stored: bigint): string | undefined {
  if (method !== 'zero' && sectors > BigInt(MAX_SECTORS)) {
    return `sector count ${sectors} for chunk ${index} is larger than max (${MAX_SECTORS})`;
  }
  if (stored > BigInt(MAX_STORED)) {
    return `length ${stored} for chunk ${index} is larger than max (${MAX_STORED})`;
  }
  if (method === 'raw' && (stored + BigInt(SECTOR - 1)) / BigInt(SECTOR) !== sectors) {
    return `length ${stored} for chunk ${index} is inconsistent with sector count ${sectors}`;
  }
  return undefined;
}

/** Index of the last chunk that starts at or before a guest offset; -1 if all start behind it. */
export function lastBefore(chunks: readonly Chunk[], offset: number): number {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((chunks[middle]?.start ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
