/** Structure check of Apple disk images. */
import { bigEndian } from '../../base/bytes.ts';
import { SECTOR } from '../../base/offset.ts';
import type { CheckFindings, Checker } from '../../block/capabilities.ts';
import type { Report } from '../../block/report.ts';
import { type ClusterCounts, hex, StructureCheck, TrialDecoder } from '../../block/kit/structureCheck.ts';
import { crc32 } from '../../codec/checksums.ts';
import type { Storage } from '../../storage/storage.ts';
import { type Chunk, ChunkList, ENTRY_SIZE, HEADER_SIZE, isBlockTable } from './chunks.ts';
import { checksumAt, readTables, TRAILER_SIZE, type Trailer } from './trailer.ts';
import { DiskSum, fileSum } from './sums.ts';

/** Where the checksum of a table is, and the number of its chunks. */
const TABLE_CHECKSUM_AT = 64;
const TABLE_COUNT_AT = 200;

/** What the check needs of an open image. */
export interface DmgParts {
  readonly file: Storage;
  readonly trailer: Trailer;
  /** Guest size in bytes. */
  readonly virtualSize: number;
  /** Zeroes that are summed up at most. */
  readonly mostZeroes: number;
  /** Decodes compressed chunks; throws kind `io` if one is damaged. */
  decode(chunks: readonly Chunk[]): Promise<readonly Uint8Array[]>;
}

/** The checker of an image: chunks cover the disk once, lie in the data fork, and have the right checksums. */
export function deepCheckerOf(parts: DmgParts): Checker {
  return { deepOnly: true, repairs: false, check: (_, report) => new Walk(parts, report).run() };
}

/** One walk over all tables. */
class Walk {
  readonly #parts: DmgParts;
  readonly #check: StructureCheck;
  readonly #chunks: Chunk[] = [];
  readonly #clusters: ClusterCounts = { total: 0, allocated: 0, fragmented: 0, compressed: 0 };
  /** Checksums of the tables as they are stored; undefined when one has none. */
  #tableSums: number[] | undefined = [];

  constructor(parts: DmgParts, report: Report) {
    this.#parts = parts;
    this.#check = new StructureCheck(report, parts.file.size());
  }

  async run(): Promise<CheckFindings> {
    const { file, trailer } = this.#parts;
    const { offset, dataFork, dataLength, resourceFork, propertyList } = trailer;
    this.#check.claim('the trailer', offset, Math.min(TRAILER_SIZE, file.size() - offset));
    this.#check.claim('the resource fork', resourceFork.offset, resourceFork.length);
    const found = await readTables(file, trailer);
    if (found?.moved) this.#check.damage('the property list is not where the trailer says');
    const list = found?.moved ?? propertyList;
    this.#check.claim('the property list', list.offset, list.length);
    if (dataFork + dataLength > offset) this.#check.damage('the data fork reaches beyond the trailer');
    const tables = (found?.tables ?? []).filter(isBlockTable);
    for (const [index, table] of tables.entries()) await this.#walkTable(table, `table ${index}`);
    this.#checkCover();
    await this.#checkSums();
    return this.#check.finish(undefined, this.#clusters);
  }

  async #walkTable(table: Uint8Array, name: string): Promise<void> {
    const list = new ChunkList();
    list.add(table, this.#parts.trailer.dataFork);
    const entries = Math.floor((table.length - HEADER_SIZE) / ENTRY_SIZE);
    const count = bigEndian(table).u32(TABLE_COUNT_AT);
    if (count !== entries) this.#check.damage(`${name} has ${entries} chunks instead of ${count}`);
    if (list.unknownType !== undefined) {
      this.#check.damage(`${name} has chunks of the unknown type ${list.unknownType.toString(16)}`);
    }
    const sum = new DiskSum(this.#parts.mostZeroes);
    if (list.unknownType !== undefined) sum.spoil();
    const trial = new TrialDecoder({
      decode: (chunks: readonly Chunk[]) => this.#parts.decode(chunks),
      decoded: (pieces) => pieces.forEach((piece) => sum.add(piece)),
      damaged: ({ start }) => {
        sum.spoil();
        this.#check.damage(`chunk of sector ${start / SECTOR} cannot be decompressed to its size`);
      },
    });
    for (const chunk of list.chunks) {
      const there = this.#claim(chunk);
      sum.expect(chunk);
      if (!there) sum.spoil();
      else if (chunk.method !== 'zero' && chunk.method !== 'raw') await trial.add(chunk, chunk.length);
      else {
        await trial.finish();
        if (chunk.method === 'zero') sum.addZeroes(chunk.summed ? chunk.length : 0);
        else await sum.addFile(this.#parts.file, chunk);
      }
    }
    await trial.finish();
    this.#compareTable(table, name, sum);
    for (const chunk of list.chunks) this.#chunks.push(chunk);
  }

  /** @returns true if the stored bytes are where they should be. */
  #claim({ method, start, length, offset, stored }: Chunk): boolean {
    this.#clusters.total++;
    if (method === 'zero') return true;
    this.#clusters.allocated++;
    if (method !== 'raw') this.#clusters.compressed++;
    const { dataFork, dataLength } = this.#parts.trailer;
    const who = `chunk of sector ${start / SECTOR}`;
    if (length > 0 && stored === 0) {
      this.#check.damage(`${who} has no bytes`);
      return false;
    }
    if (offset < dataFork || offset + stored > dataFork + dataLength) {
      this.#check.damage(`${who} at ${hex(offset)} is outside of the data fork`);
      return false;
    }
    return this.#check.claim('a chunk', offset, stored, who);
  }

  #compareTable(table: Uint8Array, name: string, sum: DiskSum): void {
    const stored = checksumAt(table, TABLE_CHECKSUM_AT);
    if (stored === undefined) {
      this.#tableSums = undefined;
      return;
    }
    this.#tableSums?.push(stored);
    if (sum.value !== undefined && sum.value !== stored) this.#check.damage(`checksum of ${name} is wrong`);
  }

  /** Every sector belongs to one chunk. */
  #checkCover(): void {
    const size = this.#parts.virtualSize;
    let end = 0;
    for (const { start, length } of this.#chunks
      .filter((chunk) => chunk.length > 0)
      .sort((a, b) => a.start - b.start)) {
      const stop = start + length;
      if (start > end) this.#check.damage(`${sectors(end, start)} are in no chunk`);
      if (start < end) this.#check.damage(`${sectors(start, Math.min(stop, end))} are in two chunks`);
      if (stop > size) this.#check.damage(`chunk of sector ${start / SECTOR} reaches beyond the end of the disk`);
      end = Math.max(end, stop);
    }
    if (end < size) this.#check.damage(`${sectors(end, size)} are in no chunk`);
  }

  /** The checksums in the trailer: of the stored data, and of the checksums of the tables. */
  async #checkSums(): Promise<void> {
    const { file, trailer } = this.#parts;
    const { dataFork, dataLength, dataChecksum, masterChecksum } = trailer;
    if (dataChecksum !== undefined && dataFork + dataLength <= file.size()) {
      const sum = await fileSum(file, dataFork, dataLength, 0);
      if (sum !== dataChecksum) this.#check.damage('checksum of the data fork is wrong');
    }
    if (masterChecksum === undefined || this.#tableSums === undefined) return;
    const sums = bigEndian(new Uint8Array(this.#tableSums.length * 4));
    this.#tableSums.forEach((sum, index) => sums.setU32(index * 4, sum));
    if (crc32(sums.bytes) !== masterChecksum) this.#check.damage('checksum of the checksums of all tables is wrong');
  }
}

/** A range of bytes of the disk for people. */
function sectors(from: number, to: number): string {
  return `sectors ${from / SECTOR} to ${to / SECTOR}`;
}
