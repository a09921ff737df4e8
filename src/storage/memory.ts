/** Storage in memory, sparse: for tests, for pages, and for images that are built before they are written. */
import { unsupported } from '../base/error.ts';
import { isZero } from '../base/zero.ts';
import { CheckedStorage } from './checked.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from './storage.ts';

const PAGE = 65536;

/** A growing array of bytes that keeps only the 64 KiB pages that were written. */
export class MemoryDriver implements StorageDriver {
  readonly limits: Limits = { requestAlignment: 1 };
  readonly #pages = new Map<number, Uint8Array>();
  #size: number;

  /** @param content initial bytes (copied), or the initial size of an empty storage. */
  constructor(content: Uint8Array | number = 0) {
    this.#size = typeof content === 'number' ? content : content.length;
    if (typeof content !== 'number') this.write(0, content);
  }

  size(): number {
    return this.#size;
  }

  read(offset: number, into: Uint8Array): void {
    this.#eachPage(offset, into.length, (page, inPage, at, length) => {
      const bytes = this.#pages.get(page);
      if (bytes) into.set(bytes.subarray(inPage, inPage + length), at);
      else into.fill(0, at, at + length);
    });
  }

  write(offset: number, from: Uint8Array): void {
    this.#eachPage(offset, from.length, (page, inPage, at, length) => {
      this.#page(page).set(from.subarray(at, at + length), inPage);
    });
    this.#size = Math.max(this.#size, offset + from.length);
  }

  writeZeroes(offset: number, length: number, _flags: ZeroFlags): void {
    this.discard(offset, length);
    this.#size = Math.max(this.#size, offset + length);
  }

  discard(offset: number, length: number): void {
    if (length > PAGE * 64) {
      this.#dropMany(offset, offset + length);
      return;
    }
    this.#eachPage(offset, length, (page, inPage, _at, count) => {
      if (count === PAGE) this.#pages.delete(page);
      else this.#pages.get(page)?.fill(0, inPage, inPage + count);
    });
  }

  #dropMany(start: number, end: number): void {
    for (const [page, bytes] of this.#pages) {
      const from = Math.max(0, start - page * PAGE);
      const to = Math.min(PAGE, end - page * PAGE);
      if (from === 0 && to === PAGE) this.#pages.delete(page);
      else if (from < to) bytes.fill(0, from, to);
    }
  }

  status(offset: number, length: number): Extent {
    const end = offset + length;
    const present = this.#pages.has(Math.floor(offset / PAGE));
    let page = Math.floor(offset / PAGE) + 1;
    if (!present && (end - offset) / PAGE > this.#pages.size) {
      page = Math.min(Math.ceil(end / PAGE), ...[...this.#pages.keys()].filter((other) => other >= page));
    }
    while (page * PAGE < end && this.#pages.has(page) === present) page++;
    return { length: Math.min(page * PAGE, end) - offset, kind: present ? 'data' : 'hole' };
  }

  truncate(size: number, preallocation: Preallocation): void {
    if (preallocation !== 'off') {
      throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
    }
    if (size < this.#size) this.#dropMany(size, this.#size);
    this.#size = size;
  }

  flush(): void {}

  close(): void {}

  allocatedSize(): number {
    return this.#pages.size * PAGE;
  }

  /** All bytes in one new array; for small storages. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#size);
    this.read(0, bytes);
    return bytes;
  }

  /** Gives up pages that hold only zeroes. */
  compact(): void {
    for (const [page, bytes] of this.#pages) if (isZero(bytes)) this.#pages.delete(page);
  }

  #page(page: number): Uint8Array {
    let bytes = this.#pages.get(page);
    if (!bytes) {
      bytes = new Uint8Array(PAGE);
      this.#pages.set(page, bytes);
    }
    return bytes;
  }

  #eachPage(
    offset: number,
    length: number,
    visit: (page: number, inPage: number, at: number, length: number) => void,
  ): void {
    for (let at = 0; at < length; ) {
      const inPage = (offset + at) % PAGE;
      const count = Math.min(PAGE - inPage, length - at);
      visit((offset + at - inPage) / PAGE, inPage, at, count);
      at += count;
    }
  }
}

/** A complete storage over new memory. */
export function memoryStorage(content: Uint8Array | number = 0, name = 'memory'): CheckedStorage {
  return new CheckedStorage(new MemoryDriver(content), { name, readOnly: false });
}
