/** Files in memory, behind the same port as the files of a host: with locks, and with faults on demand. */
import type { MaybePromise } from '../base/async.ts';
import { BlockError, posixError, unsupported } from '../base/error.ts';
import { type Fault, FaultDriver } from './fault.ts';
import {
  type FileAccess,
  type FileCreateOptions,
  type FileHandle,
  type FileOpenOptions,
  type FilePort,
  type FileStatus,
  CREATE_ACCESS,
  Permission,
} from './files.ts';
import { MemoryDriver } from './memory.ts';
import type { Extent, Limits, Preallocation, ZeroFlags } from './storage.ts';

/** One file, whatever its name is now. */
interface Entry {
  readonly identity: string;
  readonly content: MemoryDriver;
  /** What reading and writing goes through. */
  readonly driver: FaultDriver;
  /** Locks of the open handles. */
  readonly held: Set<{ access: FileAccess }>;
}

/** Permissions by the name that QEMU gives them, in the order in which they are locked. */
const LOCKS: readonly (readonly [bit: number, name: string])[] = [
  [Permission.consistentRead, 'consistent read'],
  [Permission.write, 'write'],
  [Permission.writeUnchanged, 'write unchanged'],
  [Permission.resize, 'resize'],
];

function hasBit(bits: number, bit: number): boolean {
  return Math.floor(bits / bit) % 2 === 1;
}

/** Refuses `access` if another handle uses what it does not share, or does not share what it uses. */
function takeLocks(entry: Entry, name: string, own: { access: FileAccess } | undefined, access: FileAccess): void {
  const refuse = (text: string): never => {
    throw new BlockError('locked', `Failed to get ${text} lock`, {
      context: { filename: name, access: 'lock' },
      hint: `Is another process using the image [${name}]?`,
    });
  };
  for (const [bit, lock] of LOCKS) {
    for (const other of entry.held) {
      if (other === own) continue;
      if (hasBit(access.used, bit) && !hasBit(other.access.shared, bit)) refuse(`"${lock}"`);
      if (!hasBit(access.shared, bit) && hasBit(other.access.used, bit)) refuse(`shared "${lock}"`);
    }
  }
}

class MemoryFile implements FileHandle {
  readonly kind = 'file';
  readonly identity: string;
  readonly limits: Limits = { requestAlignment: 1, minMemoryAlignment: 1, optimalMemoryAlignment: 4096, maxIov: 1024 };
  readonly write?: (offset: number, from: Uint8Array) => MaybePromise<void>;
  readonly #entry: Entry;
  readonly #name: string;
  readonly #own: { access: FileAccess } = { access: { used: 0, shared: 15 } };
  readonly #unmap: boolean;

  constructor(entry: Entry, name: string, options: FileOpenOptions) {
    this.identity = entry.identity;
    this.#entry = entry;
    this.#name = name;
    this.#unmap = options.discard !== 'ignore';
    if (options.access) takeLocks(entry, name, undefined, options.access);
    if (options.access) this.#own.access = options.access;
    entry.held.add(this.#own);
    if (options.writable) this.write = (offset, from) => entry.driver.write(offset, from);
  }

  setAccess(access: FileAccess): void {
    takeLocks(this.#entry, this.#name, this.#own, access);
    this.#own.access = access;
  }

  size(): number {
    return this.#entry.driver.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return this.#entry.driver.read(offset, into);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    return this.#entry.driver.writeZeroes(offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    if (this.#unmap) return this.#entry.driver.discard(offset, length);
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    return this.#entry.driver.status(offset, length);
  }

  /** Space is never reserved ahead in memory; modes that would are accepted and change the size only. */
  truncate(size: number, preallocation: Preallocation): MaybePromise<void> {
    if (preallocation === 'metadata') {
      throw unsupported('Unsupported preallocation mode: metadata');
    }
    return this.#entry.driver.truncate(size, 'off');
  }

  flush(): MaybePromise<void> {
    return this.#entry.driver.flush();
  }

  close(): void {
    this.#entry.held.delete(this.#own);
  }

  allocatedSize(): number {
    return this.#entry.content.allocatedSize();
  }
}

/** A flat set of files in memory. Names are taken as they are; a `/` in a name has no meaning. */
export class MemoryFiles implements FilePort {
  readonly #files = new Map<string, Entry>();
  #made = 0;

  /** Puts a file there, or replaces one. @param content its bytes (copied), or its size. */
  put(name: string, content: Uint8Array | number): void {
    const memory = new MemoryDriver(content);
    const identity = `memory:${this.#made++}`;
    this.#files.set(name, { identity, content: memory, driver: new FaultDriver(memory), held: new Set() });
  }

  /** All bytes of a file, in a new array. */
  bytes(name: string): Uint8Array {
    return this.#entry(name, 'open').content.toBytes();
  }

  /** Names of all files, sorted. */
  names(): string[] {
    return [...this.#files.keys()].sort();
  }

  /** Lets operations on a file fail, whoever has it open. */
  inject(name: string, fault: Fault): void {
    this.#entry(name, 'open').driver.inject(fault);
  }

  /** Takes all faults away from a file. */
  heal(name: string): void {
    this.#entry(name, 'open').driver.heal();
  }

  #entry(name: string, verb: string): Entry {
    const entry = this.#files.get(name);
    if (entry) return entry;
    throw posixError('not-found', `Could not ${verb} '${name}'`, { context: { filename: name, access: verb } });
  }

  async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    return new MemoryFile(this.#entry(name, 'open'), name, options);
  }

  async create(name: string, options: FileCreateOptions): Promise<void> {
    const old = this.#files.get(name);
    if (old && options.exclusive) throw posixError('exists', `Could not create '${name}'`);
    if (!old) this.put(name, 0);
    const handle = new MemoryFile(this.#entry(name, 'create'), name, { writable: true, access: CREATE_ACCESS });
    try {
      await handle.truncate(0, 'off');
      await handle.truncate(options.size, options.preallocation);
    } finally {
      handle.close();
    }
  }

  async status(name: string): Promise<FileStatus> {
    const { identity, content } = this.#entry(name, 'open');
    return { kind: 'file', size: content.size(), identity };
  }

  async remove(name: string): Promise<void> {
    this.#entry(name, 'remove');
    this.#files.delete(name);
  }

  async rename(from: string, to: string): Promise<void> {
    const entry = this.#entry(from, 'rename');
    this.#files.delete(from);
    this.#files.set(to, entry);
  }

  async list(name: string): Promise<string[]> {
    const prefix = name === '.' || name === '' ? '' : `${name.replace(/\/$/, '')}/`;
    const inside = this.names().filter((other) => other.startsWith(prefix));
    return inside.map((other) => other.slice(prefix.length));
  }
}
