/**
 * Power cuts: everything that is done to files in memory is recorded, and all states are built that a disk can be in
 * when the power goes. What was flushed is there. Of the changes since, any may be missing, and the last one may have
 * arrived in part. Names change at once: that is the worst case for a file whose content was not flushed before.
 */
import { createHash } from 'node:crypto';
import type { FileCreateOptions, FileHandle, FileOpenOptions } from '../../src/storage/files.ts';
import { MemoryDriver } from '../../src/storage/memory.ts';
import { MemoryFiles } from '../../src/storage/memoryFiles.ts';

/** A change of a file, or of names. */
type Change =
  | { readonly kind: 'write'; readonly file: string; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'zero'; readonly file: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'size'; readonly file: string; readonly size: number }
  | { readonly kind: 'flush'; readonly file: string }
  | { readonly kind: 'name'; readonly name: string; readonly file: string | undefined };

/** A change of content. */
type ContentChange = Exclude<Change, { readonly kind: 'flush' | 'name' }>;

const SECTOR = 512;

/** Files in memory that remember what is done to them. */
export class RecordingFiles extends MemoryFiles {
  readonly changes: Change[] = [];

  override async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    return this.#recorded(await super.open(name, options));
  }

  /** The handle with a note of each change before it is made. */
  #recorded(handle: FileHandle): FileHandle {
    const { identity: file } = handle;
    const note = (method: keyof FileHandle, changeOf: (...args: never[]) => Change): void => {
      const original: unknown = handle[method];
      if (typeof original !== 'function') return;
      const noting = (...args: unknown[]): unknown => {
        this.changes.push(changeOf(...(args as never[])));
        return Reflect.apply(original, handle, args);
      };
      Object.defineProperty(handle, method, { value: noting, configurable: true, writable: true });
    };
    const zero = (offset: number, length: number): Change => ({ kind: 'zero', file, offset, length });
    note('write', (offset: number, from: Uint8Array) => ({ kind: 'write', file, offset, bytes: from.slice() }));
    note('writeZeroes', zero);
    note('discard', zero);
    note('truncate', (size: number) => ({ kind: 'size', file, size }));
    note('flush', () => ({ kind: 'flush', file }));
    return handle;
  }

  override async create(name: string, options: FileCreateOptions): Promise<void> {
    await super.create(name, options);
    const file = await this.#identity(name);
    this.changes.push({ kind: 'name', name, file }, { kind: 'size', file, size: 0 });
    this.changes.push({ kind: 'size', file, size: options.size });
  }

  override async remove(name: string): Promise<void> {
    await super.remove(name);
    this.changes.push({ kind: 'name', name, file: undefined });
  }

  override async rename(from: string, to: string): Promise<void> {
    const file = await this.#identity(from);
    await super.rename(from, to);
    this.changes.push({ kind: 'name', name: to, file }, { kind: 'name', name: from, file: undefined });
  }

  async #identity(name: string): Promise<string> {
    return (await this.status(name)).identity;
  }

  /** What is there now, as the start of {@link crashes}. */
  async start(): Promise<Disk> {
    const disk = new Disk();
    for (const name of this.names()) {
      const file = await this.#identity(name);
      disk.names.set(name, file);
      disk.files.set(file, this.bytes(name));
    }
    this.changes.length = 0;
    return disk;
  }
}

/** A state of the disk. */
class Disk {
  readonly names: Map<string, string> = new Map();
  readonly files: Map<string, Uint8Array> = new Map();

  copy(): Disk {
    const other = new Disk();
    for (const [name, file] of this.names) other.names.set(name, file);
    for (const [file, bytes] of this.files) other.files.set(file, bytes);
    return other;
  }

  apply(changes: readonly ContentChange[]): void {
    const touched = new Map<string, MemoryDriver>();
    for (const change of changes) {
      const known = touched.get(change.file) ?? new MemoryDriver(this.files.get(change.file) ?? 0);
      touched.set(change.file, known);
      if (change.kind === 'write') known.write(change.offset, change.bytes);
      else if (change.kind === 'size') known.truncate(change.size, 'off');
      else known.writeZeroes(change.offset, Math.max(0, change.length), {});
    }
    for (const [file, driver] of touched) this.files.set(file, driver.toBytes());
  }

  toFiles(): MemoryFiles {
    const files = new MemoryFiles();
    for (const [name, file] of this.names) files.put(name, this.files.get(file) ?? 0);
    return files;
  }

  digest(): string {
    const hash = createHash('sha1');
    for (const [name, file] of [...this.names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const bytes = this.files.get(file) ?? new Uint8Array(0);
      hash.update(`${name} ${bytes.length} `).update(bytes);
    }
    return hash.digest('hex');
  }
}

/** How much is enumerated, and how much is drawn. */
export interface CrashDepth {
  /** Up to so many changes since a flush, all subsets of them are tried. */
  readonly subsets: number;
  /** Writes of up to so many sectors are torn at every sector; longer ones at the first, the middle and the last. */
  readonly sectors: number;
  /** So many states are drawn at every flush besides: any subset of the changes, with any subset of the sectors of each. */
  readonly samples: number;
  /** What they are drawn by. */
  readonly seed: number;
}

/** A state after a power cut. */
export interface Crashed {
  readonly files: MemoryFiles;
  /** Where the cut was and what is missing, for messages. */
  readonly label: string;
}

/** All states, each once. */
export function* crashes(
  start: Disk,
  changes: readonly Change[],
  depth: CrashDepth,
): Generator<Crashed, void, undefined> {
  const seen = new Set<string>();
  const durable = start.copy();
  let pending: ContentChange[] = [];
  const draw = drawing(depth.seed);
  const build = (some: readonly ContentChange[], label: string): Crashed | undefined => {
    const disk = durable.copy();
    disk.apply(some);
    const digest = disk.digest();
    if (seen.has(digest)) return undefined;
    seen.add(digest);
    return { files: disk.toFiles(), label };
  };
  for (let index = 0; index <= changes.length; index++) {
    const change = changes[index];
    if (change && change.kind !== 'flush' && change.kind !== 'name') {
      pending.push(change);
      continue;
    }
    const chosen =
      pending.length === 0
        ? selections(pending, depth)
        : both(selections(pending, depth), samples(pending, depth, draw));
    for (const [some, label] of chosen) {
      const crashed = build(some, `before change ${index} of ${changes.length}: ${label}`);
      if (crashed) yield crashed;
    }
    if (change?.kind === 'flush') {
      durable.apply(pending.filter(({ file }) => file === change.file));
      pending = pending.filter(({ file }) => file !== change.file);
    } else if (change?.kind === 'name') {
      if (change.file === undefined) durable.names.delete(change.name);
      else durable.names.set(change.name, change.file);
    }
  }
}

/** The parts of the changes since the last flush that may have arrived. */
function* selections(
  pending: readonly ContentChange[],
  depth: CrashDepth,
): Generator<[ContentChange[], string], void, undefined> {
  const all = pending.map((_, index) => index);
  // File systems do not let a later change arrive where an earlier one of the size did not.
  const pick = (chosen: readonly number[], label: string): [ContentChange[], string] => {
    const isIn = (change: ContentChange, index: number): boolean =>
      chosen.includes(index) ||
      (change.kind === 'size' && chosen.some((later) => later > index && pending[later]?.file === change.file));
    return [pending.filter(isIn), label];
  };
  if (pending.length <= depth.subsets) {
    for (let mask = 0; mask < 2 ** pending.length; mask++) {
      const chosen = all.filter((index) => Math.floor(mask / 2 ** index) % 2 === 1);
      yield pick(chosen, `arrived ${chosen.join()} of ${pending.length}`);
    }
  } else {
    for (const index of [...all, pending.length]) {
      yield pick(all.slice(0, index), `arrived the first ${index} of ${pending.length}`);
      yield pick(all.toSpliced(index, 1), `lost only ${index} of ${pending.length}`);
      yield pick([index], `arrived only ${index} of ${pending.length}`);
    }
  }
  for (const index of all) {
    const change = pending[index];
    if (change?.kind !== 'write') continue;
    for (const [part, label] of tornParts(change, depth.sectors)) {
      yield [[...pending.slice(0, index), part], `torn ${index} of ${pending.length}: ${label}`];
    }
  }
}

function* both<T>(first: Iterable<T>, second: Iterable<T>): Generator<T, void, undefined> {
  yield* first;
  yield* second;
}

/** Numbers below a limit, the same ones for the same seed (xorshift, G. Marsaglia). */
function drawing(seed: number): (limit: number) => number {
  let state = seed % 4294967296 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** States that are drawn: each change is there, not there, or there in part; sizes come in their order. */
function* samples(
  pending: readonly ContentChange[],
  { samples: count, seed }: CrashDepth,
  draw: (limit: number) => number,
): Generator<[ContentChange[], string], void, undefined> {
  for (let sample = 0; sample < count; sample++) {
    const fates = pending.map(() => draw(4));
    const last = fates.findLastIndex((fate) => fate > 0);
    const some = pending.flatMap((change, index): ContentChange[] => {
      if (change.kind === 'size' && index < last) return [change];
      if (fates[index] === 0) return [];
      return change.kind === 'write' && fates[index] === 1 ? sectorsOf(change).filter(() => draw(2) === 0) : [change];
    });
    yield [some, `seed ${seed}, sample ${sample}: ${fates.join('')} of ${pending.length}`];
  }
}

/** The parts of a write that lie in different sectors of the disk. */
function sectorsOf(change: Extract<Change, { readonly kind: 'write' }>): ContentChange[] {
  const { offset, bytes } = change;
  const parts: ContentChange[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR));
    parts.push({ ...change, offset: offset + at, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return parts;
}

/** Beginnings and ends of a write, cut between sectors of the disk. */
function* tornParts(
  change: Extract<Change, { readonly kind: 'write' }>,
  limit: number,
): Generator<[ContentChange, string], void, undefined> {
  const { offset, bytes } = change;
  const first = Math.floor(offset / SECTOR) + 1;
  const count = Math.ceil((offset + bytes.length) / SECTOR) - first;
  for (let i = 0; i < count; i++) {
    if (count > limit && i !== 0 && i !== count - 1 && i !== Math.floor(count / 2)) continue;
    const cut = (first + i) * SECTOR - offset;
    yield [{ ...change, bytes: bytes.subarray(0, cut) }, `first ${cut} bytes`];
    yield [{ ...change, offset: offset + cut, bytes: bytes.subarray(cut) }, `last ${bytes.length - cut} bytes`];
  }
}

/** Depth of the tests: `QIMG_CRASH_DEPTH=1` (or more) goes further, and draws by `QIMG_CRASH_SEED`. */
export function crashDepth(): CrashDepth {
  const more = Number(process.env['QIMG_CRASH_DEPTH'] ?? 0);
  const seed = Number(process.env['QIMG_CRASH_SEED'] ?? 20_261_130);
  return { subsets: 5 + more * 3, sectors: 8 + more * 56, samples: more === 0 ? 3 : more * 100, seed };
}

export type { Disk };
