/** The file port under Node. */
// Not the promises of `node:fs`: loading them takes longer than these calls.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { type ErrorContext, unsupported } from '../../base/error.ts';
import { textOf } from '../../base/text.ts';
import {
  type CacheMode,
  type FileCreateOptions,
  type FileDraft,
  type FileHandle,
  type FileOpenOptions,
  type FilePort,
  type FileStatus,
  CREATE_ACCESS,
} from '../../storage/files.ts';
import type { Limits } from '../../storage/storage.ts';
import { deviceLimits, deviceSectorSize, deviceSize } from './device.ts';
import { startDraft, syncFolder } from './draft.ts';
import { libc as loadLibc } from './ffi.ts';
import type { Libc } from './native.ts';
import { pageArray } from './fileBuffers.ts';
import { nodeError } from './fileErrors.ts';
import { identityOf, type OpenedFile, ReadOnlyFile } from './fileHandle.ts';
import { WritableFile } from './writableFile.ts';
import { applyCreateFlags } from './fileFlags.ts';
import { hostName } from './fileNames.ts';
import { fileLocks, type LockRegistry } from './lock.ts';

/** Flags that keep opening from waiting for the other end of a pipe or taking over a terminal. */
const ALWAYS = (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
/** Alignments to try for direct I/O. */
const DIRECT_ALIGNMENTS = [512, 4096] as const;

/** Files of the machine that Node runs on. */
export class NodeFiles implements FilePort {
  readonly #loadLibc: () => Libc | undefined;
  readonly #registry: LockRegistry = new Map();

  /**
   * @param options `libc` takes the place of the C library; `false` does without it, as on platforms where it cannot
   * be loaded.
   */
  constructor(options: { readonly libc?: Libc | boolean } = {}) {
    const given = options.libc ?? true;
    this.#loadLibc = given === true ? loadLibc : () => given || undefined;
  }

  async open(name: string, options: FileOpenOptions): Promise<FileHandle> {
    const message = `Could not open '${name}'`;
    const mode = cacheMode(options.cache);
    const flags =
      ALWAYS | (options.writable ? constants.O_RDWR : constants.O_RDONLY) | (mode.synchronous ? constants.O_DSYNC : 0);
    const { fd, alignment } = openDescriptor(name, message, flags, mode.direct);
    return this.#started(fd, () => {
      const opened = this.#describe(fd, name, flags, alignment, options);
      // Whoever opened a directory or a pipe is told so by its caller; there is nothing to lock.
      const lockable = ['file', 'block-device', 'character-device'].includes(opened.kind);
      if (options.access && lockable) opened.locks.set(options.access);
      return options.writable ? new WritableFile(opened) : new ReadOnlyFile(opened);
    });
  }

  /** Runs `body`; the descriptor is closed if it fails. */
  async #started<T>(fd: number, body: () => T | Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #describe(
    fd: number,
    name: string,
    flags: number,
    alignment: number | undefined,
    options: Pick<FileOpenOptions, 'cache' | 'discard'>,
  ): OpenedFile {
    const stats = fstatSync(fd, { bigint: true });
    const kind = kindOf(stats);
    const identity = identityOf(stats);
    const libc = kind === 'directory' ? undefined : this.#loadLibc();
    const { size, limits } = measure(libc, fd, kind, stats, alignment ?? 1);
    const mode = cacheMode(options.cache);
    return {
      fd,
      name,
      kind,
      identity,
      size,
      limits,
      flags,
      direct: alignment !== undefined,
      synchronous: mode.synchronous,
      unsafe: mode.unsafe,
      unmap: options.discard !== 'ignore',
      locks: fileLocks(libc, this.#registry, fd, identity, name),
      libc,
    };
  }

  async create(name: string, options: FileCreateOptions): Promise<void> {
    const message = `Could not create '${name}'`;
    const flags = ALWAYS | constants.O_RDWR | constants.O_CREAT | (options.exclusive ? constants.O_EXCL : 0);
    const { fd } = openDescriptor(name, message, flags, false);
    const file = await this.#started(fd, () => {
      const opened = this.#describe(fd, name, flags, undefined, {});
      opened.locks.set(CREATE_ACCESS);
      return { handle: new WritableFile(opened), libc: opened.libc };
    });
    try {
      await fillNewFile(file.handle, file.libc, fd, options);
    } finally {
      await file.handle.close();
    }
  }

  async status(name: string): Promise<FileStatus> {
    const context = { filename: name, access: 'stat' };
    const stats = attempt(() => statSync(hostName(name), { bigint: true }), `Could not open '${name}'`, context);
    return {
      kind: kindOf(stats),
      size: stats.isFile() ? Number(stats.size) : 0,
      identity: identityOf(stats),
      times: {
        modified: Math.floor(Number(stats.mtimeMs) / 1000),
        changed: Math.floor(Number(stats.ctimeMs) / 1000),
        accessed: Math.floor(Number(stats.atimeMs) / 1000),
      },
    };
  }

  async remove(name: string): Promise<void> {
    attempt(() => unlinkSync(hostName(name)), `Could not remove '${name}'`, { filename: name, access: 'remove' });
  }

  async settle(name: string): Promise<void> {
    syncFolder(name);
  }

  async rename(from: string, to: string): Promise<void> {
    const context = { filename: to, access: 'rename' };
    const move = (): void => {
      renameSync(hostName(from), hostName(to));
      syncFolder(to);
    };
    attempt(move, `Could not rename '${from}' to '${to}'`, context);
  }

  async draft(name: string, replace: boolean): Promise<FileDraft> {
    return startDraft(name, { replace, libc: this.#loadLibc() });
  }

  async list(name: string): Promise<string[]> {
    const context = { filename: name, access: 'list' };
    const read = (): Uint8Array[] => readdirSync(hostName(name), { encoding: 'buffer' });
    return attempt(read, `Could not read directory '${name}'`, context).map(textOf).sort();
  }
}

/** Runs a call of `node:fs`; an error gets `message` in front. */
function attempt<T>(call: () => T, message: string, context: ErrorContext): T {
  try {
    return call();
  } catch (error) {
    throw nodeError(error, message, context);
  }
}

/** Gives a file that was just opened by `create` its flags and size. */
async function fillNewFile(
  handle: WritableFile,
  libc: Libc | undefined,
  fd: number,
  options: FileCreateOptions,
): Promise<void> {
  if (handle.kind !== 'file' && handle.kind !== 'fifo') {
    // Devices are used as they are, as long as they are large enough.
    if (options.size <= handle.size()) return;
    throw unsupported('Cannot grow device files', { context: { access: 'create' } });
  }
  await handle.truncate(0, 'off');
  if (libc) applyCreateFlags(libc, fd, options);
  await handle.truncate(options.size, options.preallocation);
}

/** What a cache mode asks of the operating system. */
function cacheMode(mode: CacheMode | undefined): { direct: boolean; synchronous: boolean; unsafe: boolean } {
  return {
    direct: mode === 'none' || mode === 'off' || mode === 'directsync',
    synchronous: mode === 'writethrough' || mode === 'directsync',
    unsafe: mode === 'unsafe',
  };
}

/** Opens a file; `alignment` is that of direct I/O, or undefined if the page cache is used. */
function openDescriptor(
  name: string,
  message: string,
  flags: number,
  direct: boolean,
): { fd: number; alignment: number | undefined } {
  if (direct && constants.O_DIRECT !== undefined) {
    try {
      const fd = openSync(hostName(name), flags | constants.O_DIRECT, 0o644);
      const alignment = directAlignment(fd);
      if (alignment !== undefined) return { fd, alignment };
      closeSync(fd);
    } catch {
      // A file system without direct I/O; if something else is wrong, the next attempt says what.
    }
  }
  try {
    return { fd: openSync(hostName(name), flags, 0o644), alignment: undefined };
  } catch (error) {
    throw nodeError(error, message, { filename: name, access: 'open' });
  }
}

/** The smallest alignment with which a file can be read directly, or undefined. */
function directAlignment(fd: number): number | undefined {
  const buffer = pageArray(4096);
  return DIRECT_ALIGNMENTS.find((alignment) => {
    try {
      readSync(fd, buffer, 0, alignment, 0);
      return true;
    } catch {
      return false;
    }
  });
}

/** Size and limits of an opened file or device. */
function measure(
  libc: Libc | undefined,
  fd: number,
  kind: FileStatus['kind'],
  stats: BigIntStats,
  alignment: number,
): { size: number; limits: Limits } {
  if (kind === 'block-device' && libc) {
    return { size: deviceSize(libc, fd) ?? 0, limits: deviceLimits(stats.rdev, deviceSectorSize(libc, fd), alignment) };
  }
  const limits: Limits = {
    requestAlignment: alignment,
    minMemoryAlignment: alignment,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
  };
  return { size: kind === 'file' ? Number(stats.size) : 0, limits };
}

function kindOf(stats: BigIntStats): FileStatus['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isBlockDevice()) return 'block-device';
  if (stats.isCharacterDevice()) return 'character-device';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isSocket()) return 'socket';
  return 'other';
}
