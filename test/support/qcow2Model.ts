/**
 * A qcow2 image with its model: everything that changes images is done to both. Guest bytes are a plain array,
 * snapshots are copies of it, bitmaps are sets of granules. The files are in memory.
 */
import { expect } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { BlockError, type ErrorKind } from '../../src/base/error.ts';
import { permissiveGate } from '../../src/block/graph/gate.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import type { Services } from '../../src/block/services.ts';
import { drivers } from '../../src/drivers.ts';
import { nodeCrypto } from '../../src/host/node/crypto.ts';
import { nodeServices } from '../../src/host/node/host.ts';
import { MapSecretStore } from '../../src/host/shared/secrets.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { check } from '../../src/operations/check.ts';
import { create } from '../../src/operations/create.ts';
import type { ImageInput } from '../../src/operations/requests.ts';
import { openSource } from '../../src/operations/source.ts';
import type { FileHandle, FileOpenOptions } from '../../src/storage/files.ts';
import { MemoryFiles } from '../../src/storage/memoryFiles.ts';
import { codec } from '../unit/formats/qcow2/support.ts';
import type { BitmapModel } from './qcow2Bitmaps.ts';

/** Names of the files. */
export const TOP = 'top.qcow2';
const DATA = 'top.data';

/** One geometry. */
export interface Shape {
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly extended: boolean;
  readonly version: 2 | 3;
  readonly lazy: boolean;
  readonly data: 'none' | 'plain' | 'raw';
  readonly crypt: 'none' | 'aes' | 'luks';
  /** Backing images: format, and size in bytes. There are none if the first is absent. */
  readonly backing: readonly { readonly format: 'raw' | 'qcow2'; readonly size: number }[];
  readonly size: number;
}

const secrets = new MapSecretStore();
secrets.set('key', '0123456789abcdef and more');
secrets.set('other', 'another passphrase');
const crypto = nodeCrypto();

function servicesOn(files: MemoryFiles): Services {
  const services = nodeServices({ files, codec, crypto, secrets });
  return { ...services, now: () => ({ seconds: 1_700_000_000, nanoseconds: 0 }), zoneOffset: () => 0 };
}

/** Files in memory whose discarded space reads as anything but zeroes: nobody may count on what it holds. */
class ScribblingFiles extends MemoryFiles {
  override async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    const handle = await super.open(name, options);
    const discard = (offset: number, length: number): unknown =>
      handle.write?.(offset, new Uint8Array(length).fill(0xd5));
    return Object.assign(handle, { discard });
  }
}

/** Operations on these files. */
export function contextOn(files: MemoryFiles): OperationContext {
  return { drivers, services: servicesOn(files), gate: permissiveGate };
}

/** Bytes that differ from place to place; none of them is zero. */
export function pattern(offset: number, length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = 1 + ((offset + i + seed * 7) % 251);
  return bytes;
}

/** The names that the backing images have. */
export function backingName(index: number): string {
  return `base${index}.img`;
}

/** An image and what it has to hold. */
export class Subject {
  readonly shape: Shape;
  files: MemoryFiles = new ScribblingFiles();
  context: OperationContext;
  /** Guest bytes. */
  bytes: Uint8Array;
  readonly snapshots: { readonly name: string; bytes: Uint8Array }[] = [];
  readonly bitmaps: Map<string, BitmapModel> = new Map();
  /** Bitmaps whose content is not known any more. */
  readonly broken: Set<string> = new Set();
  /** Content of the backing images. */
  readonly bases: Uint8Array[] = [];
  /** Which one is the backing image. */
  base: number | undefined;
  #node: ImageNode | undefined;
  /** What the bitmaps held when they were stored. */
  #saved = new Map<string, BitmapModel>();

  constructor(shape: Shape) {
    this.shape = shape;
    this.context = contextOn(this.files);
    this.bytes = new Uint8Array(shape.size);
  }

  /** The image as operations take it. */
  get source(): ImageInput {
    if (this.shape.crypt === 'none') return { filename: TOP, format: 'qcow2' };
    const tree = { driver: 'qcow2', 'encrypt.key-secret': 'key', file: { driver: 'file', filename: TOP } };
    return { options: tree };
  }

  async create(): Promise<void> {
    const { shape } = this;
    for (const [index, { format, size }] of shape.backing.entries()) await this.#createBase(index, format, size);
    if (shape.backing.length > 0) this.base = 0;
    const options = {
      cluster_size: shape.clusterSize,
      refcount_bits: shape.refcountBits,
      extended_l2: shape.extended ? 'on' : 'off',
      compat: shape.version === 2 ? '0.10' : '1.1',
      lazy_refcounts: shape.lazy ? 'on' : 'off',
      ...(shape.data === 'none' ? {} : { data_file: DATA, data_file_raw: shape.data === 'raw' ? 'on' : 'off' }),
      ...(shape.crypt === 'none' ? {} : { 'encrypt.format': shape.crypt, 'encrypt.key-secret': 'key' }),
      ...(shape.crypt === 'luks' ? { 'encrypt.iter-time': 1 } : {}),
    };
    await create(this.context, {
      filename: TOP,
      format: 'qcow2',
      options: Object.entries(options).map(([name, value]) => ({ name, value: String(value) })),
      size: shape.size,
      backing:
        this.base === undefined ? undefined : { filename: backingName(0), format: shape.backing[0]?.format ?? 'raw' },
    });
    this.bytes = seen(this.bases[0], shape.size);
  }

  async #createBase(index: number, format: 'raw' | 'qcow2', size: number): Promise<void> {
    const filename = backingName(index);
    const options = format === 'raw' ? [] : [{ name: 'cluster_size', value: index === 0 ? '4096' : '65536' }];
    await create(this.context, { filename, format, options, size });
    const node = await openSource(this.context, { filename, format }, { writable: true });
    // Half of it is the same everywhere, so that a rebase has something to leave out.
    await node.write(0, pattern(0, Math.floor(size * 0.6), 0));
    const start = Math.floor(size / 3);
    await node.write(start, pattern(start, Math.floor(size / 4), index + 1));
    const bytes = new Uint8Array(size);
    await node.read(0, bytes);
    await node.close();
    this.bases.push(bytes);
  }

  /** The open image. */
  async node(): Promise<ImageNode> {
    this.#node ??= await openSource(this.context, this.source, { writable: true });
    return this.#node;
  }

  /** What the open image says about itself. */
  async details(): Promise<{
    readonly version: 2 | 3;
    readonly refcountBits: number;
    readonly lazyRefcounts: boolean;
  }> {
    const { specific } = await (await this.node()).info();
    const { compat, 'refcount-bits': bits, 'lazy-refcounts': lazy } = specific?.data ?? {};
    return { version: compat === '0.10' ? 2 : 3, refcountBits: Number(bits), lazyRefcounts: lazy === true };
  }

  async close(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    if (!node) return;
    await node.close();
    this.settle();
  }

  /** All that was done is stored. */
  settle(): void {
    this.#saved = copies(this.bitmaps);
    this.#changedSince = false;
  }

  /** Everything was flushed, but nothing closed: the program was killed. */
  async kill(): Promise<void> {
    await this.#node?.flush();
    const files = new ScribblingFiles();
    for (const name of this.files.names()) files.put(name, this.files.bytes(name));
    this.files = files;
    this.context = contextOn(files);
    const open = this.#node !== undefined;
    this.#node = undefined;
    if (!open) return;
    await this.#recoverBitmaps();
    await this.close();
    // Clusters of a bitmap that was removed may leak, and nothing else may be wrong.
    const request = { image: this.source, repair: 'leaks', forceShare: false } as const;
    expect(await check(this.context, request)).toMatchObject({ kind: 'clean', findings: { corruptionsFixed: 0 } });
  }

  /** Bitmaps in use are lost; the others are as they were stored, and have not missed anything. */
  async #recoverBitmaps(): Promise<void> {
    const store = (await this.node()).bitmaps;
    const missed = new Map(this.bitmaps);
    this.bitmaps.clear();
    for (const { name, inUse, enabled } of (await store?.list()) ?? []) {
      const saved = this.#saved.get(name);
      if (inUse) {
        this.broken.add(name);
        continue;
      }
      expect({ name, known: saved !== undefined, enabled }).toEqual({ name, known: true, enabled: saved?.enabled });
      if (!saved) continue;
      this.bitmaps.set(name, saved);
      if (saved.enabled) expect(this.#changedSince, `${name} of ${[...missed.keys()].join()}`).toBe(false);
    }
    for (const name of this.broken) {
      if (!(await store?.list())?.some((entry) => entry.name === name)) this.broken.delete(name);
    }
    this.#saved = copies(this.bitmaps);
    this.#changedSince = false;
  }

  /** Guest bytes changed since the bitmaps were stored. */
  #changedSince = false;

  /** The bytes from `start` on are going to be `after`, by a request that touches whole units around them. */
  async replace(start: number, after: Uint8Array, run: (node: ImageNode) => Promise<void> | void): Promise<void> {
    const node = await this.node();
    const unit = node.allocationUnit ?? 1;
    const end = start + after.length;
    const before = this.bytes.slice(start, end);
    await run(node);
    if (!equalBytes(before, after)) this.#changedSince = true;
    this.bytes.set(after, start);
    for (const bitmap of this.bitmaps.values()) {
      if (!bitmap.enabled) continue;
      bitmap.touch(start - (start % unit), Math.ceil(end / unit) * unit);
      bitmap.change(start, before, after);
    }
  }

  /** The guest size changed. */
  resized(size: number): void {
    const before = this.bytes.length;
    this.bytes = seen(this.bytes, size);
    for (const bitmap of this.bitmaps.values()) {
      bitmap.resize(size);
      if (bitmap.enabled && size > before) bitmap.touch(before, size);
    }
  }

  /**
   * Another backing image is below, or it holds something else: what the image and its snapshots do not hold themselves
   * is different now.
   * @param owned what they hold, see {@link ownership}.
   */
  adopt(owned: readonly Uint8Array[]): void {
    const base = this.base === undefined ? undefined : this.bases[this.base];
    const through = (bytes: Uint8Array, own: Uint8Array | undefined): Uint8Array => {
      const below = seen(base, bytes.length);
      return own ? bytes.map((byte, i) => (own[i] === 1 ? byte : (below[i] ?? 0))) : bytes;
    };
    this.snapshots.forEach((snapshot, index) => {
      snapshot.bytes = through(snapshot.bytes, owned[index + 1]);
    });
    if (owned[0] && owned[0].length > 0) this.bytes = through(this.bytes, owned[0]);
  }

  /** A byte 1 for each byte that the image (first) and its snapshots hold themselves. */
  async ownership(): Promise<Uint8Array[]> {
    const node = await this.node();
    const result = [await ownedBy(node)];
    for (const { name } of this.snapshots) {
      const view = await node.snapshots?.view({ name });
      if (view) result.push(await ownedBy(view));
    }
    return result;
  }

  /** Holds all of the open image against the model. */
  async verify(): Promise<void> {
    const node = await this.node();
    await expectContent('image', node, this.bytes);
    for (const { name, bytes } of this.snapshots) await this.#verifySnapshot(node, name, bytes);
    const store = node.bitmaps;
    const known = ((await store?.list()) ?? []).map(({ name, enabled, inUse }) => ({ name, enabled, inUse }));
    const wanted = [...this.bitmaps].map(([name, { enabled }]) => ({ name, enabled, inUse: false }));
    expect(known.filter(({ inUse }) => !inUse).sort(byName)).toEqual(wanted.sort(byName));
    for (const [name, bitmap] of this.bitmaps) if (store) await bitmap.expectRanges(store.ranges(name));
  }

  async #verifySnapshot(node: ImageNode, name: string, bytes: Uint8Array): Promise<void> {
    const view = await node.snapshots?.view({ name });
    if (!view) throw new Error(`no snapshot ${name}`);
    // A view is as large as the image is now, and may show more than was there then.
    const size = Math.min(bytes.length, node.size());
    await expectContent(name, view, bytes.subarray(0, size), size);
  }

  /** Closes the image, and holds it and everything around it against the model. */
  async verifyClosed(): Promise<void> {
    await this.close();
    const lines: string[] = [];
    const request = { image: this.source, repair: 'none', forceShare: false } as const;
    const result = await check(this.context, request, { line: ({ text }) => lines.push(text) });
    expect({ kind: result.kind, lines }).toEqual({ kind: 'clean', lines: [] });
    await this.verify();
    await this.close();
    if (this.shape.data === 'raw') {
      // The file has whole clusters; what is behind the guest's last byte is nobody's.
      const stored = this.files.bytes(DATA);
      expect(stored.length - this.bytes.length).toBeLessThan(this.shape.clusterSize);
      expect(equalBytes(stored.subarray(0, this.bytes.length), this.bytes)).toBe(true);
    }
    for (const [index, bytes] of this.bases.entries()) {
      const { format = 'raw' } = this.shape.backing[index] ?? {};
      const node = await openSource(this.context, { filename: backingName(index), format });
      await expectContent(backingName(index), node, bytes);
      await node.close();
    }
  }

  /**
   * Runs what may be refused.
   * @returns the error, if it is of one of the kinds; others are thrown.
   */
  async attempt(kinds: readonly ErrorKind[], run: () => Promise<unknown>): Promise<BlockError | undefined> {
    try {
      await run();
      return undefined;
    } catch (error) {
      if (error instanceof BlockError && kinds.includes(error.kind)) return error;
      throw error;
    }
  }
}

function copies(bitmaps: ReadonlyMap<string, BitmapModel>): Map<string, BitmapModel> {
  return new Map([...bitmaps].map(([name, bitmap]) => [name, bitmap.copy()]));
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}

/** The first `size` bytes, zeroes behind the end. */
export function seen(bytes: Uint8Array | undefined, size: number): Uint8Array {
  const result = new Uint8Array(size);
  if (bytes) result.set(bytes.subarray(0, size));
  return result;
}

async function ownedBy(node: ImageNode): Promise<Uint8Array> {
  const owned = new Uint8Array(node.size());
  for (let at = 0; at < owned.length; ) {
    const mapping = await node.map(at, owned.length - at);
    if (mapping.kind !== 'unallocated') owned.fill(1, at, at + mapping.length);
    at += mapping.length;
  }
  return owned;
}

async function expectContent(what: string, node: ImageNode, wanted: Uint8Array, size = node.size()): Promise<void> {
  const found = new Uint8Array(size);
  await node.read(0, found);
  const at = equalBytes(found, wanted) ? undefined : found.findIndex((byte, i) => byte !== wanted[i]);
  const got = { what, size: found.length, at, byte: found[at ?? -1] };
  expect(got).toEqual({ what, size: wanted.length, at: undefined, byte: undefined });
}
