/** Files in memory with one log of all changes, so that the state of all files at any moment can be rebuilt. */
import type { FileCreateOptions, FileHandle, FileOpenOptions, FilePort, FileStatus } from '../../src/storage/files.ts';
import { type LogEntry, replay } from '../../src/storage/fault.ts';
import { MemoryFiles } from '../../src/storage/memoryFiles.ts';

/** One change of one file. */
interface Change {
  readonly file: string;
  readonly entry: LogEntry;
}

/** What happens to writes that were not flushed when the power fails. */
export interface PowerCut {
  /** Changes of all files before the cut. */
  readonly cut: number;
  /** True for changes, by position in the log, that do not arrive although nothing came after them. */
  readonly lost?: (index: number) => boolean;
  /** True for sectors of the last write that arrive. */
  readonly torn?: (sector: number) => boolean;
}

/** {@link MemoryFiles} that remembers changes from {@link start} on. */
export class RecordingFiles implements FilePort {
  readonly memory: MemoryFiles = new MemoryFiles();
  #log: Change[] = [];
  #before = new Map<string, Uint8Array>();

  /** Begins a new log. */
  start(): void {
    this.#log = [];
    this.#before = new Map(this.memory.names().map((name) => [name, this.memory.bytes(name)]));
  }

  /** Number of changes in the log. */
  get changes(): number {
    return this.#log.length;
  }

  /** The files after a power cut; what was flushed has always arrived. */
  after(cut: PowerCut): MemoryFiles {
    const files = new MemoryFiles();
    for (const [name, bytes] of this.#before) {
      const positions = this.#log.flatMap(({ file }, index) => (file === name && index < cut.cut ? [index] : []));
      const log = positions.map((index) => (this.#log[index] as Change).entry);
      const last = positions.at(-1) === cut.cut - 1;
      const disk = replay(bytes, log, {
        cut: log.length,
        ...(cut.lost ? { lost: (index: number) => cut.lost?.(positions[index] as number) ?? false } : {}),
        ...(cut.torn && last ? { torn: cut.torn } : {}),
      });
      files.put(name, disk.toBytes());
    }
    return files;
  }

  async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    const handle = await this.memory.open(name, options);
    const add = (entry: LogEntry): void => void this.#log.push({ file: name, entry });
    return new Proxy(handle, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const entry = entryOf(String(property), args);
          if (entry) add(entry);
          return value.apply(target, args) as unknown;
        };
      },
    });
  }

  create(name: string, options: FileCreateOptions): Promise<void> {
    return this.memory.create(name, options);
  }

  status(name: string): Promise<FileStatus> {
    return this.memory.status(name);
  }

  remove(name: string): Promise<void> {
    return this.memory.remove(name);
  }

  rename(from: string, to: string): Promise<void> {
    return this.memory.rename(from, to);
  }

  list(name: string): Promise<string[]> {
    return this.memory.list(name);
  }
}

function entryOf(method: string, args: readonly unknown[]): LogEntry | undefined {
  const [first, second] = args;
  if (method === 'write') return { operation: 'write', offset: Number(first), bytes: (second as Uint8Array).slice() };
  if (method === 'writeZeroes') return { operation: 'write-zeroes', offset: Number(first), length: Number(second) };
  if (method === 'discard') return { operation: 'discard', offset: Number(first), length: Number(second) };
  if (method === 'truncate') return { operation: 'truncate', size: Number(first) };
  return method === 'flush' ? { operation: 'flush' } : undefined;
}
