/** A tiny copy-on-write format in memory, for tests of the layers above drivers. */
import type { Backing, ImageDriver, Writing } from '../../src/block/capabilities.ts';
import type { Allocation, Mapping } from '../../src/block/mapping.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** What a test can choose. */
export interface FakeOptions {
  readonly size: number;
  /** Cluster size in bytes, a power of two. */
  readonly cluster: number;
  /** Answer through promises instead of at once. */
  readonly slow?: boolean;
  readonly zeroFlags?: boolean;
  readonly encrypted?: boolean;
}

const KEY = 0x5a;

/** Clusters are appended to a memory storage in the order in which they are first written. */
export class FakeImage implements ImageDriver, Writing {
  virtualSize: number;
  readonly allocationUnit: number;
  readonly storage: Storage = memoryStorage();
  readonly writing: Writing = this;
  readonly backing: Backing = { reference: undefined, hides: true };
  readonly limits: { requestAlignment: number };
  readonly #options: FakeOptions;
  readonly #table = new Map<number, number | 'zero'>();
  #next = 0;
  closed = 0;
  declare writeZeroes?: (offset: number, length: number) => void;

  constructor(options: FakeOptions) {
    this.#options = options;
    this.virtualSize = options.size;
    this.allocationUnit = options.cluster;
    this.limits = { requestAlignment: options.encrypted ? 512 : 1 };
    if (options.zeroFlags) {
      this.writeZeroes = (offset, length) => {
        for (let at = offset; at < offset + length; at += options.cluster)
          this.#table.set(at / options.cluster, 'zero');
      };
    }
  }

  map(offset: number, length: number): Mapping | Promise<Mapping> {
    const { cluster, encrypted, slow } = this.#options;
    const inside = offset % cluster;
    const run = Math.min(length, cluster - inside);
    const entry = this.#table.get((offset - inside) / cluster);
    let mapping: Mapping;
    if (entry === undefined) mapping = { kind: 'unallocated', length: run };
    else if (entry === 'zero') mapping = { kind: 'zero', length: run };
    else if (encrypted) mapping = { kind: 'special', length: run, compressed: false, encrypted: true };
    else mapping = { kind: 'data', length: run, storage: this.storage, offset: entry + inside };
    return slow ? Promise.resolve(mapping) : mapping;
  }

  async readSpecial(offset: number, into: Uint8Array): Promise<void> {
    const { cluster } = this.#options;
    const inside = offset % cluster;
    const entry = this.#table.get((offset - inside) / cluster);
    await this.storage.readPadded(Number(entry) + inside, into);
    for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) ^ KEY;
  }

  allocate(offset: number, length: number): Allocation | Promise<Allocation> {
    const { cluster, encrypted, slow } = this.#options;
    const index = Math.floor(offset / cluster);
    const entry = this.#table.get(index);
    const encode = encrypted ? { encode: (_: number, bytes: Uint8Array) => bytes.map((byte) => byte ^ KEY) } : {};
    const common = { start: index * cluster, storage: this.storage, ...encode };
    if (typeof entry === 'number') return { ...common, length: cluster, offset: entry, fresh: false };
    const count = Math.max(1, Math.min(4, Math.ceil((offset + length) / cluster) - index));
    let fresh = 1;
    while (fresh < count && typeof this.#table.get(index + fresh) !== 'number') fresh++;
    const host = this.#next;
    this.#next += fresh * cluster;
    const commit = (): void => {
      for (let i = 0; i < fresh; i++) this.#table.set(index + i, host + i * cluster);
    };
    const room: Allocation = { ...common, length: fresh * cluster, offset: host, fresh: true, zeroed: true, commit };
    return slow ? Promise.resolve(room) : room;
  }

  async resize(size: number): Promise<void> {
    this.virtualSize = size;
  }

  flush(): void {}

  close(): void {
    this.closed++;
  }

  info(): Record<string, never> {
    return {};
  }
}
