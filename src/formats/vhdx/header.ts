/** The two headers of a VHDX file ([MS-VHDX] 2.2.2): which one is current, and how it is replaced. */
import { equalBytes, littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { invalidImage } from '../../base/error.ts';
import { crc32c } from '../../codec/checksums.ts';
import type { Storage } from '../../storage/storage.ts';
import { Guid, guidText, HEADER_OFFSETS, HEADER_SIZE } from './layout.ts';

/** What a header says. */
export interface Header {
  /** The header with the higher number counts. */
  readonly sequence: bigint;
  /** Changes whenever any byte of the file is going to change. */
  readonly fileWriteGuid: Uint8Array;
  /** Changes whenever guest data is going to change. */
  readonly dataWriteGuid: Uint8Array;
  /** Marks the entries of the log that count; all zero: there are none. */
  readonly logGuid: Uint8Array;
  readonly logVersion: number;
  readonly logLength: number;
  /** Place of the log in the file; rounded if it is beyond 2^53. */
  readonly logOffset: number;
}

/** CRC-32C of a structure whose checksum field, at byte 4, counts as zero. */
export function structureChecksum(bytes: Uint8Array): number {
  const copy = bytes.slice();
  copy.fill(0, 4, 8);
  return crc32c(copy);
}

/** Reads a header; undefined if its signature, checksum or version is wrong. */
export function parseHeader(bytes: Uint8Array): Header | undefined {
  const fields = littleEndian(bytes);
  if (fields.latin1(0, 4) !== 'head' || fields.u32(4) !== structureChecksum(bytes) || fields.u16(66) !== 1) {
    return undefined;
  }
  return {
    sequence: fields.big64(8),
    fileWriteGuid: fields.slice(16, 16).slice(),
    dataWriteGuid: fields.slice(32, 16).slice(),
    logGuid: fields.slice(48, 16).slice(),
    logVersion: fields.u16(64),
    logLength: fields.u32(68),
    logOffset: fields.u64lossy(72),
  };
}

/** A header of 4,096 bytes. */
export function encodeHeader(header: Header): Uint8Array {
  const fields = littleEndian(new Uint8Array(HEADER_SIZE));
  fields.set(0, utf8Bytes('head'));
  fields.setBig64(8, header.sequence);
  fields.set(16, header.fileWriteGuid);
  fields.set(32, header.dataWriteGuid);
  fields.set(48, header.logGuid);
  fields.setU16(64, header.logVersion);
  fields.setU16(66, 1);
  fields.setU32(68, header.logLength);
  fields.setU64(72, header.logOffset);
  fields.setU32(4, structureChecksum(fields.bytes));
  return fields.bytes;
}

/** The current header of an open file. */
export class CurrentHeader {
  readonly #file: Storage;
  #header: Header;
  /** Which of the two places holds it. */
  #slot: 0 | 1;

  private constructor(file: Storage, header: Header, slot: 0 | 1) {
    this.#file = file;
    this.#header = header;
    this.#slot = slot;
  }

  /** Reads both headers and picks the newer valid one. */
  static async read(file: Storage): Promise<CurrentHeader> {
    const stored = HEADER_OFFSETS.map(() => new Uint8Array(HEADER_SIZE)) as [Uint8Array, Uint8Array];
    for (const [slot, offset] of HEADER_OFFSETS.entries()) await file.readPadded(offset, stored[slot as 0 | 1]);
    const [first, second] = [parseHeader(stored[0]), parseHeader(stored[1])];
    if (first && (!second || first.sequence > second.sequence)) return new CurrentHeader(file, first, 0);
    if (second && (!first || second.sequence > first.sequence)) return new CurrentHeader(file, second, 1);
    if (first && equalBytes(stored[0], stored[1])) return new CurrentHeader(file, first, 0);
    throw invalidImage('No valid VHDX header found');
  }

  get value(): Header {
    return this.#header;
  }

  /** The file has a log that may have to be replayed. */
  get hasLog(): boolean {
    return guidText(this.#header.logGuid) !== Guid.zero;
  }

  /** Writes a changed header to the place of the older one, and makes it durable. */
  async update(changes: Partial<Header>): Promise<void> {
    const next = { ...this.#header, ...changes, sequence: BigInt.asUintN(64, this.#header.sequence + 1n) };
    const slot = this.#slot === 0 ? 1 : 0;
    await this.#file.write(HEADER_OFFSETS[slot], encodeHeader(next));
    await this.#file.flush();
    this.#header = next;
    this.#slot = slot;
  }
}
