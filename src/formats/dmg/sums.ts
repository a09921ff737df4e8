/** CRC-32 sums over what Apple disk images hold. */
import { MiB } from '../../base/offset.ts';
import { crc32 } from '../../codec/checksums.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { Chunk } from './chunks.ts';

/** The sum of a range of the file, going on from `start`. */
export async function fileSum(file: Storage, offset: number, length: number, start: number): Promise<number> {
  let sum = start;
  for (let at = 0; at < length; at += MiB) {
    const bytes = await readAt(file, offset + at, Math.min(MiB, length - at));
    sum = crc32(bytes, sum);
  }
  return sum;
}

/** The sum of the decoded bytes of a table, as far as it can be told. */
export class DiskSum {
  #sum: number | undefined = 0;
  #zeroes = 0;
  #end: number | undefined;
  readonly #mostZeroes: number;

  /** @param mostZeroes of more the sum cannot be told: it would take long, and a hostile image can claim any number. */
  constructor(mostZeroes: number) {
    this.#mostZeroes = mostZeroes;
  }

  /** The sum; undefined if it is not known. */
  get value(): number | undefined {
    return this.#sum;
  }

  /** The sum cannot be told. */
  spoil(): void {
    this.#sum = undefined;
  }

  /** Tells which chunk is next: sums are over the disk in its order, without gaps. */
  expect({ start, length }: Chunk): void {
    if (this.#end !== undefined && this.#end !== start) this.spoil();
    this.#end = start + length;
  }

  add(bytes: Uint8Array): void {
    if (this.#sum !== undefined) this.#sum = crc32(bytes, this.#sum);
  }

  /** Adds that many zeroes. Chunks of the type whose content does not matter add none. */
  addZeroes(length: number): void {
    this.#zeroes += length;
    if (this.#zeroes > this.#mostZeroes) this.spoil();
    const zeroes = new Uint8Array(Math.min(MiB, length));
    for (let at = 0; at < length && this.#sum !== undefined; at += MiB) {
      this.add(zeroes.subarray(0, Math.min(MiB, length - at)));
    }
  }

  async addFile(file: Storage, { offset, length, stored }: Chunk): Promise<void> {
    if (this.#sum === undefined) return;
    this.#sum = await fileSum(file, offset, Math.min(length, stored), this.#sum);
    this.add(new Uint8Array(Math.max(0, length - stored)));
  }
}
