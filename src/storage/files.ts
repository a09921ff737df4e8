/** The port through which files are reached. A host implements it; only protocols (`src/protocols`) call it. */
import type { MaybePromise } from '../base/async.ts';
import type { Preallocation, StorageDriver } from './storage.ts';

/**
 * What a user of a file does, or lets others do, as a set of bits. The values are those of QEMU's image locks:
 * bit i is byte 100 + i ("I do this") and byte 200 + i ("I do not let others do this").
 */
export const Permission = { consistentRead: 1, write: 2, writeUnchanged: 4, resize: 8 } as const;

/** The permissions that one opener uses and those that it lets others use at the same time. */
export interface FileAccess {
  /** Bits of {@link Permission}. */
  readonly used: number;
  /** Bits of {@link Permission}. */
  readonly shared: number;
}

/** What creating does to a file: it changes content and size, and lets nobody else change the size. */
export const CREATE_ACCESS: FileAccess = {
  used: Permission.write | Permission.resize,
  shared: Permission.consistentRead | Permission.write | Permission.writeUnchanged,
};

/** QEMU's cache modes. */
export type CacheMode = 'none' | 'writeback' | 'unsafe' | 'directsync' | 'writethrough' | 'off';

/** How a file is opened. */
export interface FileOpenOptions {
  readonly writable: boolean;
  /** Locks to take; absent means none are taken and none are looked at. */
  readonly access?: FileAccess;
  readonly cache?: CacheMode;
  /** Whether `discard` punches holes (`unmap`) or does nothing. */
  readonly discard?: 'ignore' | 'unmap';
}

/** What a file is, without opening it. */
export interface FileStatus {
  readonly kind: 'file' | 'directory' | 'block-device' | 'character-device' | 'fifo' | 'socket' | 'other';
  /** Size in bytes; 0 for everything but files. */
  readonly size: number;
  /** Equal for two names of one file (device and inode number). */
  readonly identity: string;
  /** Seconds since 1970, UTC, where the host knows: last change of the content, of anything, last use. */
  readonly times?: { readonly modified: number; readonly changed: number; readonly accessed: number };
}

/** An open file. */
export interface FileHandle extends StorageDriver {
  /** Equal for two handles of one file (device and inode number). */
  readonly identity: string;
  readonly kind: FileStatus['kind'];
  /**
   * Changes the locks that are held. Throws kind `locked` with QEMU's message (`Failed to get "write" lock`, and the
   * hint that names the file) when another process is in the way; the old locks are then still held.
   */
  setAccess(access: FileAccess): MaybePromise<void>;
}

/** How a file is created. */
export interface FileCreateOptions {
  /** Size in bytes of the new file. */
  readonly size: number;
  readonly preallocation: Preallocation;
  /** Fail with `exists` instead of truncating what is there. */
  readonly exclusive?: boolean;
  readonly nocow?: boolean;
  readonly extentSizeHint?: number;
}

/** A new file that gets its name when it is complete. */
export interface FileDraft {
  /** Name under which it can be opened until then. */
  readonly at: string;
  /** Gives the file its name, in the place of whatever has that, and makes that durable. Every handle is closed. */
  publish(): Promise<void>;
  /** Gives the file up, also after `publish` has failed; nothing of it stays. */
  discard(): Promise<void>;
}

/** Files of the host. Names are the host's own; errors are `BlockError`s with the POSIX code and text. */
export interface FilePort {
  /** Opens an existing file or device. Never blocks on a FIFO. Message of a failure: `Could not open 'NAME': <text>`. */
  open(name: string, options: FileOpenOptions): Promise<FileHandle>;
  /** Creates a file or empties an existing one, under QEMU's locks for creation. */
  create(name: string, options: FileCreateOptions): Promise<void>;
  status(name: string): Promise<FileStatus>;
  remove(name: string): Promise<void>;
  /** Renames over an existing file, and makes the new name durable. */
  rename(from: string, to: string): Promise<void>;
  /** Makes the names of the directory of `name` durable. Absent: they are. */
  settle?(name: string): Promise<void>;
  /**
   * A new empty file that is to become `name`; if the process is killed meanwhile, nothing of it stays. Absent where that
   * is more than a host can promise.
   * @param replace a regular file has the name already (a link may lead there), and the new one gets its mode and owner.
   */
  draft?(name: string, replace: boolean): Promise<FileDraft>;
  /** Names of a directory's entries, sorted. */
  list(name: string): Promise<string[]>;
}
