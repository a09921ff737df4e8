/**
 * QEMU's image locks. Byte 100 + i of a file stands for "I use permission i", byte 200 + i for "I do not let others
 * use permission i". All locks are shared ones; whoever wants a permission takes its own bytes first and then looks
 * whether anybody holds the opposite ones. The locks belong to the open file description, so that two openings within
 * one process are in each other's way as two processes are.
 */
import { readFileSync } from 'node:fs';
import { BlockError } from '../../base/error.ts';
import type { FileAccess } from '../../storage/files.ts';
import { deviceNumbers } from './device.ts';
import { failedWith } from './ffi.ts';
import type { Libc } from './native.ts';
import { libcError } from './fileErrors.ts';

const USED_BASE = 100;
const UNSHARED_BASE = 200;
/** Names of the permissions in messages, by bit. */
const NAMES = ['consistent read', 'write', 'write unchanged', 'resize'] as const;
const ALL = 2 ** NAMES.length - 1;

/** Commands and lock types of `fcntl` on Linux. */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** The bytes that an access needs, in two sets of bits. */
interface Held {
  readonly used: number;
  readonly unshared: number;
}

const NOTHING: Held = { used: 0, unshared: 0 };

/** The locks of one open file. */
export interface FileLocks {
  /**
   * Takes the locks of `access` and gives up the others that were held. Throws kind `locked`, with the old locks
   * still held, when somebody is in the way.
   */
  set(access: FileAccess): void;
  /** Gives up all locks. */
  release(): void;
}

function heldFor(access: FileAccess): Held {
  return { used: access.used & ALL, unshared: ~access.shared & ALL };
}

function lockedError(name: string, permission: number, shared: boolean): BlockError {
  const text = `Failed to get ${shared ? 'shared ' : ''}"${NAMES[permission]}" lock`;
  return new BlockError('locked', text, {
    context: { filename: name, access: 'lock' },
    hint: `Is another process using the image [${name}]?`,
  });
}

/** Throws for the first byte that stands against `wanted`; `taken` tells whether others hold a byte. */
function refuseConflicts(name: string, wanted: Held, taken: (byte: number) => boolean): void {
  for (let bit = 0; bit < NAMES.length; bit++) {
    if (wanted.used & (1 << bit) && taken(UNSHARED_BASE + bit)) throw lockedError(name, bit, false);
  }
  for (let bit = 0; bit < NAMES.length; bit++) {
    if (wanted.unshared & (1 << bit) && taken(USED_BASE + bit)) throw lockedError(name, bit, true);
  }
}

/** Calls `visit` for each byte of `held`. */
function eachByte(held: Held, visit: (byte: number) => void): void {
  for (let bit = 0; bit < NAMES.length; bit++) if (held.used & (1 << bit)) visit(USED_BASE + bit);
  for (let bit = 0; bit < NAMES.length; bit++) if (held.unshared & (1 << bit)) visit(UNSHARED_BASE + bit);
}

function without(a: Held, b: Held): Held {
  return { used: a.used & ~b.used, unshared: a.unshared & ~b.unshared };
}

/** `struct flock`: type at 0, whence at 2, start at 8, length at 16. */
const flock = new Uint8Array(32);
const flockView = new DataView(flock.buffer);

function fcntlLock(libc: Libc, fd: number, command: number, type: number, start: number, length: number): number {
  flock.fill(0);
  flockView.setInt16(0, type, true);
  flockView.setBigInt64(8, BigInt(start), true);
  flockView.setBigInt64(16, BigInt(length), true);
  return libc.lock(fd, command, flock);
}

/** True if somebody else holds a lock on any byte of the file. */
export function isLockedByOthers(libc: Libc, fd: number): boolean {
  return fcntlLock(libc, fd, F_OFD_GETLK, F_WRLCK, 0, 0) >= 0 && flockView.getInt16(0, true) !== F_UNLCK;
}

/** Locks kept by the kernel. */
class KernelLocks implements FileLocks {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #name: string;
  #held: Held = NOTHING;

  constructor(libc: Libc, fd: number, name: string) {
    this.#libc = libc;
    this.#fd = fd;
    this.#name = name;
  }

  set(access: FileAccess): void {
    const wanted = heldFor(access);
    const added = without(wanted, this.#held);
    try {
      eachByte(added, (byte) => this.#take(byte));
      refuseConflicts(this.#name, wanted, (byte) => this.#takenByOthers(byte));
    } catch (error) {
      eachByte(added, (byte) => this.#unlock(byte));
      throw error;
    }
    eachByte(without(this.#held, wanted), (byte) => this.#unlock(byte));
    this.#held = wanted;
  }

  release(): void {
    eachByte(this.#held, (byte) => this.#unlock(byte));
    this.#held = NOTHING;
  }

  #take(byte: number): void {
    const result = fcntlLock(this.#libc, this.#fd, F_OFD_SETLK, F_RDLCK, byte, 1);
    if (result >= 0) return;
    // Somebody holds the byte exclusively, which no QEMU program does.
    if (failedWith(result, 'EAGAIN', 'EACCES')) {
      throw new BlockError('locked', `Failed to lock byte ${byte}`, {
        context: { filename: this.#name, access: 'lock' },
        hint: `Is another process using the image [${this.#name}]?`,
      });
    }
    throw libcError(result, `Failed to lock byte ${byte}`, { filename: this.#name, access: 'lock' });
  }

  #unlock(byte: number): void {
    fcntlLock(this.#libc, this.#fd, F_OFD_SETLK, F_UNLCK, byte, 1);
  }

  #takenByOthers(byte: number): boolean {
    const result = fcntlLock(this.#libc, this.#fd, F_OFD_GETLK, F_WRLCK, byte, 1);
    if (result < 0) throw libcError(result, `Failed to lock byte ${byte}`, { filename: this.#name, access: 'lock' });
    return flockView.getInt16(0, true) !== F_UNLCK;
  }
}

/** What handles of one process hold, by file identity, where the kernel cannot be asked to. */
export type LockRegistry = Map<string, Set<object & { readonly held: Held }>>;

/**
 * Locks without system calls: others' locks are seen in the kernel's list, our own are known only to this process.
 * Another QEMU program started later does not see them, but no image that one has open is changed under it.
 */
class RegisteredLocks implements FileLocks {
  readonly #registry: LockRegistry;
  readonly #identity: string;
  readonly #name: string;
  held: Held = NOTHING;

  constructor(registry: LockRegistry, identity: string, name: string) {
    this.#registry = registry;
    this.#identity = identity;
    this.#name = name;
  }

  set(access: FileAccess): void {
    const wanted = heldFor(access);
    const foreign = foreignLocks(this.#identity);
    refuseConflicts(this.#name, wanted, (byte) => foreign(byte) || this.#heldHere(byte));
    this.held = wanted;
    const holders = this.#registry.get(this.#identity) ?? new Set();
    this.#registry.set(this.#identity, holders.add(this));
  }

  release(): void {
    this.held = NOTHING;
    const holders = this.#registry.get(this.#identity);
    if (holders?.delete(this) && holders.size === 0) this.#registry.delete(this.#identity);
  }

  #heldHere(byte: number): boolean {
    for (const other of this.#registry.get(this.#identity) ?? []) {
      if (other === this) continue;
      const bits = byte >= UNSHARED_BASE ? other.held.unshared : other.held.used;
      if (bits & (1 << (byte % 100))) return true;
    }
    return false;
  }
}

/**
 * The bytes that others hold according to `/proc/locks`, whose lines look like
 * `1: OFDLCK ADVISORY READ -1 fe:00:2146602 100 103`.
 */
function foreignLocks(identity: string): (byte: number) => boolean {
  let text: string;
  try {
    text = readFileSync('/proc/locks', 'latin1');
  } catch {
    return () => false;
  }
  const inode = procName(identity);
  const ranges: [number, number][] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const at = fields.indexOf(inode);
    if (fields[1] !== 'OFDLCK' || at < 0) continue;
    const end = fields[at + 2];
    ranges.push([Number(fields[at + 1]), end === 'EOF' ? Number.POSITIVE_INFINITY : Number(end)]);
  }
  return (byte) => ranges.some(([start, end]) => start <= byte && byte <= end);
}

/** `device:inode` in decimal as `/proc/locks` writes it: `major:minor:inode`, the first two in hexadecimal. */
function procName(identity: string): string {
  const [device = '', inode = ''] = identity.split(':');
  // A block device: its locks are listed under an inode that has no name.
  if (!/^\d+$/.test(device)) return '';
  const { major, minor } = deviceNumbers(BigInt(device));
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}:${inode}`;
}

/**
 * The locks of a newly opened file: none are held yet.
 * @param identity `device:inode`.
 * @param name for messages.
 */
export function fileLocks(
  libc: Libc | undefined,
  registry: LockRegistry,
  fd: number,
  identity: string,
  name: string,
): FileLocks {
  // File systems without such locks answer the question itself with an error.
  const known = libc !== undefined && fcntlLock(libc, fd, F_OFD_GETLK, F_WRLCK, 0, 0) >= 0;
  return known ? new KernelLocks(libc, fd, name) : new RegisteredLocks(registry, identity, name);
}
