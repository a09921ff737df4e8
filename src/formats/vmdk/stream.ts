/**
 * Extents of compressed grains. While they are written, grains are appended and the tables in front of them are kept
 * up to date, so that the file is a valid image at any moment. The end of writing adds what the specification asks for
 * behind the grains (tables, directory, footer, end-of-stream, each with its marker), and then lets the header refer
 * to the footer: a reader that cannot seek finds everything in order.
 */
import type { MaybePromise } from '../../base/async.ts';
import { concatBytes, littleEndian } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { wholeUnits } from '../../block/kit/units.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { memoryStorage } from '../../storage/memory.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Extent } from './extent.ts';
import { encodeMarker, GRAIN_MARKER, HEADER_SIZE, Marker, type SparseHeader, withDirectory } from './header.ts';
import { layoutOfHeader, WritableTables } from './sparse.ts';
import { GrainReader, type StreamTools } from './streamRead.ts';

/** Bytes of tables that are collected before they are written. */
const BATCH = 1048576;

/** A streamOptimized extent. */
export class StreamExtent implements Extent {
  readonly bytes: number;
  readonly grainBytes: number;
  readonly compressed = true;
  readonly zeroedGrains: boolean;
  readonly storage: Storage;
  readonly type: string;
  readonly #header: SparseHeader;
  readonly #tables: WritableTables;
  readonly #reader: GrainReader;
  readonly #tools: StreamTools;
  #written = false;
  #complained = false;

  constructor(storage: Storage, type: string, header: SparseHeader, tools: StreamTools) {
    this.storage = storage;
    this.type = type;
    this.bytes = header.capacity;
    this.grainBytes = header.grainBytes;
    this.zeroedGrains = header.zeroedGrains;
    this.#header = header;
    this.#tools = tools;
    this.#tables = new WritableTables(storage, layoutOfHeader(header), header.redundantOffset);
    this.#reader = new GrainReader(storage, this.#tables, tools, header.markers);
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return this.#tables.map(offset, length);
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    return this.#reader.read(offset, into);
  }

  placeOf(offset: number): MaybePromise<number> {
    return this.#tables.entry(offset);
  }

  /** Codes consecutive grains; the last may be short. Streams that are longer than the grain are kept. */
  async encode(bytes: Uint8Array, mayOverwrite?: boolean): Promise<(Uint8Array | undefined)[]> {
    const { codec } = this.#tools.services;
    return codec.compressBatch(
      { method: 'zlib' },
      wholeUnits(bytes, this.grainBytes),
      this.grainBytes,
      2 * this.grainBytes,
      mayOverwrite,
    );
  }

  /** Appends one coded grain. @throws BlockError if the grain is there already: the format cannot replace it. */
  async store(offset: number, coded: Uint8Array): Promise<void> {
    await this.#refuseReplacing(offset);
    await this.#begin();
    await this.#tables.ensureTable(Math.floor(offset / this.#tables.coverage));
    const marker = this.#header.markers ? GRAIN_MARKER : 0;
    const sectors = new Uint8Array(alignUp(marker + coded.length, SECTOR));
    if (this.#header.markers) {
      const fields = littleEndian(sectors);
      fields.setU64(0, offset / SECTOR);
      fields.setU32(8, coded.length);
    }
    sectors.set(coded, marker);
    const place = this.#tables.end.reserve(sectors.length, SECTOR);
    await this.storage.write(place, sectors);
    await this.#tables.setEntries(offset, [place / SECTOR]);
  }

  async #refuseReplacing(offset: number): Promise<void> {
    if ((await this.#tables.entry(offset)) < 0) return;
    const problem = 'Could not write to allocated cluster for streamOptimized';
    // Several grains may be on their way.
    if (!this.#complained) this.#tools.complain(problem);
    this.#complained = true;
    throw new BlockError('io', problem);
  }

  /** Room in memory for one grain, which is coded when it is complete. */
  async allocate(offset: number): Promise<Allocation> {
    const start = offset - (offset % this.grainBytes);
    await this.#refuseReplacing(start);
    const length = Math.min(this.grainBytes, this.bytes - start);
    const storage = memoryStorage(length);
    return {
      start,
      length,
      storage,
      offset: 0,
      fresh: true,
      zeroed: true,
      commit: async () => {
        const bytes = new Uint8Array(length);
        await storage.read(0, bytes);
        const [coded] = await this.encode(bytes);
        if (!coded) throw new BlockError('internal', 'a grain could not be compressed');
        await this.store(start, coded);
      },
    };
  }

  /**
   * Before the first change. An image that has a footer would be without one as soon as something is behind it: the
   * header names the directory until the end of writing.
   */
  async #begin(): Promise<void> {
    if (this.#written) return;
    this.#written = true;
    if (!this.#header.footer) return;
    await this.#writeHeader(this.#header.directoryOffset);
    await this.storage.flush();
  }

  async #readHeader(): Promise<Uint8Array> {
    const header = new Uint8Array(HEADER_SIZE);
    await this.storage.read(0, header);
    return header;
  }

  async #writeHeader(directory: number | undefined): Promise<void> {
    await this.storage.write(0, withDirectory(await this.#readHeader(), directory));
  }

  flush(): MaybePromise<void> {
    return this.#tables.flush();
  }

  async finish(): Promise<void> {
    if (!this.#written || !this.#header.markers) return;
    this.#written = false;
    await this.#tables.flush();
    const tail = new Tail(this.storage, alignUp(this.#tables.end.offset, SECTOR));
    const directory = await this.#writeTables(tail);
    await tail.add(encodeMarker(Marker.grainDirectory, directory.length / SECTOR));
    const place = tail.position;
    await tail.add(directory);
    await tail.add(encodeMarker(Marker.footer, 1));
    await tail.add(withDirectory(await this.#readHeader(), place));
    await tail.add(encodeMarker(Marker.endOfStream, 0));
    await tail.flush();
    await this.storage.truncate(tail.position);
    await this.storage.flush();
    await this.#writeHeader(undefined);
    await this.storage.flush();
  }

  /** Copies all tables that are not empty behind the grains; returns the directory that names them. */
  async #writeTables(tail: Tail): Promise<Uint8Array> {
    const { directoryEntries, tableEntries } = this.#tables.layout;
    const directory = littleEndian(new Uint8Array(alignUp(directoryEntries * 4, SECTOR)));
    const sectors = alignUp(tableEntries * 4, SECTOR) / SECTOR;
    for (let index = 0; index < directoryEntries; index++) {
      const found = this.#tables.table(index);
      const table = found instanceof Promise ? await found : found;
      if (!table || isZero(table.bytes)) continue;
      const copy = new Uint8Array(sectors * SECTOR);
      copy.set(table.bytes);
      await tail.add(encodeMarker(Marker.grainTable, sectors));
      directory.setU32(index * 4, tail.position / SECTOR);
      await tail.add(copy);
    }
    return directory.bytes;
  }
}

/** Bytes that are appended, in large pieces. */
class Tail {
  readonly #storage: Storage;
  #start: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(storage: Storage, start: number) {
    this.#storage = storage;
    this.#start = start;
  }

  /** Where the next bytes go. */
  get position(): number {
    return this.#start + this.#length;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    if (this.#length >= BATCH) await this.flush();
  }

  async flush(): Promise<void> {
    await this.#storage.write(this.#start, concatBytes(this.#pieces));
    this.#start += this.#length;
    this.#pieces = [];
    this.#length = 0;
  }
}
