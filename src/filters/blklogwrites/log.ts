/** A log of writes (Linux: Documentation/admin-guide/device-mapper/log-writes). All numbers are little-endian. */
import { Semaphore } from '../../base/async.ts';
import { invalidArgument } from '../../base/error.ts';
import { alignUp } from '../../base/offset.ts';
import { readAt, type Storage } from '../../storage/storage.ts';

const MAGIC = 0x6a736677736872n;
const VERSION = 1n;
/** Bytes of the head: magic, version, number of entries (8 each), size of sectors (4). */
const HEAD = 28;
/** Bytes of an entry: sector, number of sectors, flags, and bytes of a mark's text, which there are none of (8 each). */
const ENTRY = 32;

const FLUSH = 1n;
const DISCARD = 4n;

/** The entries in order, each in a sector of its own with its data in the sectors behind it. The first sector is the head. */
export class WriteLog {
  readonly sector: number;
  readonly #storage: Storage;
  /** After so many entries the head is written, if nothing is flushed. */
  readonly #interval: number;
  readonly #turn = new Semaphore(1);
  /** The next free sector. */
  #end = 1;
  #entries = 0n;

  constructor(storage: Storage, sector: number, interval: number) {
    this.#storage = storage;
    this.sector = sector;
    this.#interval = interval;
  }

  /**
   * A log that goes on behind its last entry.
   * @returns undefined if the storage is empty: nothing was logged yet.
   * @throws BlockError if it holds something else than a log.
   */
  static async resumed(
    storage: Storage,
    interval: number,
    fits: (sector: number) => boolean,
  ): Promise<WriteLog | undefined> {
    if (storage.size() === 0) return undefined;
    const head = viewOf(await readAt(storage, 0, HEAD));
    if (head.getBigUint64(0, true) !== MAGIC) throw invalidArgument('Invalid log superblock magic');
    const version = head.getBigUint64(8, true);
    if (version !== VERSION) throw invalidArgument(`Unsupported log version ${version}`);
    const log = new WriteLog(storage, head.getUint32(24, true), interval);
    if (!fits(log.sector)) return log;
    const entries = head.getBigUint64(16, true);
    for (; log.#entries < entries; log.#entries++) await log.#skip();
    return log;
  }

  async #skip(): Promise<void> {
    const entry = viewOf(await readAt(this.#storage, this.#end * this.sector, ENTRY));
    const [sectors, flags] = [entry.getBigUint64(8, true), entry.getBigUint64(16, true)];
    if (sectors > BigInt(this.#storage.size())) throw invalidArgument(`Invalid log entry ${this.#entries}`);
    this.#end += 1 + ((flags & DISCARD) === 0n ? Number(sectors) : 0);
  }

  data(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#add(offset, bytes.length, 0n, (at) => this.#storage.write(at, bytes), bytes.length);
  }

  zeroes(offset: number, length: number): Promise<void> {
    return this.#add(offset, length, 0n, (at) => this.#storage.writeZeroes(at, length), length);
  }

  discarded(offset: number, length: number): Promise<void> {
    return this.#add(offset, length, DISCARD);
  }

  /** All that is in the log is on its medium afterwards. */
  async flushed(): Promise<void> {
    await this.#add(0, 0, FLUSH);
    await this.#turn.run(() => this.#writeHead());
    await this.#storage.flush();
  }

  async #add(
    offset: number,
    length: number,
    flags: bigint,
    write?: (at: number) => unknown,
    stored = 0,
  ): Promise<void> {
    await this.#turn.run(async () => {
      const entry = viewOf(new Uint8Array(this.sector));
      entry.setBigUint64(0, BigInt(Math.floor(offset / this.sector)), true);
      entry.setBigUint64(8, BigInt(Math.ceil(length / this.sector)), true);
      entry.setBigUint64(16, flags, true);
      const at = this.#end * this.sector;
      await this.#storage.write(at, new Uint8Array(entry.buffer));
      await write?.(at + this.sector);
      this.#end += 1 + alignUp(stored, this.sector) / this.sector;
      this.#entries++;
      if (this.#entries % BigInt(this.#interval) === 0n) await this.#writeHead();
    });
  }

  async #writeHead(): Promise<void> {
    const head = viewOf(new Uint8Array(this.sector));
    head.setBigUint64(0, MAGIC, true);
    head.setBigUint64(8, VERSION, true);
    head.setBigUint64(16, this.#entries, true);
    head.setUint32(24, this.sector, true);
    await this.#storage.write(0, new Uint8Array(head.buffer));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
