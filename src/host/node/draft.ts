/**
 * Files that get their name when they are complete. Until then they have none at all where the file system allows that
 * (O_TMPFILE): a program that is killed leaves nothing. Elsewhere, on network file systems for instance, they have a name
 * that tells whose they are, and the next program that needs such a name there removes those whose owner is gone.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs';
import { textOf } from '../../base/text.ts';
import type { FileDraft } from '../../storage/files.ts';
import { fillRandom } from './crypto.ts';
import { failedWith } from './ffi.ts';
import type { Libc } from './native.ts';
import { libcError, nodeError } from './fileErrors.ts';
import { hostName } from './fileNames.ts';
import { isLockedByOthers } from './lock.ts';

/** `O_TMPFILE` without `O_DIRECTORY`, the same on all machines. */
const TMPFILE = 0o20000000;
const MODE = 0o644;
/** `.qimg-BOOT-NAMESPACE-PROCESS-RANDOM.part`: see {@link thisOwner}. */
const OWNED = /^\.qimg-([0-9a-f]{32}-\d+-)(\d+)-[0-9a-f]{16}\.part$/;

/** How a draft is made. */
interface DraftSettings {
  /** The file takes the place of a regular one (which a link may lead to), with its mode and its owner. */
  readonly replace: boolean;
  /** Nobody else may look into it. */
  readonly secret?: boolean;
  readonly libc: Libc | undefined;
}

/**
 * A new empty file that is to become `name`.
 * @throws BlockError with the message of a failed creation of `name`.
 */
export function startDraft(name: string, settings: DraftSettings): FileDraft {
  try {
    // Links stay where they are: what they lead to is replaced.
    const path = settings.replace ? textOf(realpathSync.native(hostName(name), { encoding: 'buffer' })) : name;
    return new Draft(name, path, settings);
  } catch (error) {
    throw nodeError(error, `Could not create '${name}'`, { filename: name, access: 'create' });
  }
}

class Draft implements FileDraft {
  readonly at: string;
  readonly #name: string;
  readonly #path: string;
  readonly #settings: DraftSettings;
  /** Keeps a file without a name alive; undefined if it has one, or is done with. */
  #fd: number | undefined;

  constructor(name: string, path: string, settings: DraftSettings) {
    this.#name = name;
    this.#path = path;
    this.#settings = settings;
    const old = settings.replace ? statSync(hostName(path)) : undefined;
    // Until it has the other's owner nobody else may look into it.
    const mode = old || settings.secret ? 0o600 : MODE;
    this.#fd = openUnnamed(path, mode, settings);
    this.at = this.#fd === undefined ? ownedName(path, settings) : `/proc/self/fd/${this.#fd}`;
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const fd = this.#fd ?? openSync(hostName(this.at), flags, mode);
    if (old) adopt(fd, old);
    if (this.#fd === undefined) closeSync(fd);
  }

  async publish(): Promise<void> {
    try {
      if (this.#fd === undefined) renameSync(hostName(this.at), hostName(this.#path));
      else this.#link(this.#fd);
      syncFolder(this.#path);
    } catch (error) {
      throw nodeError(error, `Could not create '${this.#name}'`, { filename: this.#name, access: 'rename' });
    }
    this.#release();
  }

  /** Names the file. What has the name already is replaced, which linking alone does not do. */
  #link(fd: number): void {
    if (linkUnnamed(this.#settings.libc, fd, this.#path)) return;
    const other = ownedName(this.#path, this.#settings);
    linkUnnamed(this.#settings.libc, fd, other);
    try {
      renameSync(hostName(other), hostName(this.#path));
    } catch (error) {
      unlinkSync(hostName(other));
      throw error;
    }
  }

  async discard(): Promise<void> {
    if (this.#fd === undefined) unlinkSync(hostName(this.at));
    this.#release();
  }

  #release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** The directory part of a path, with its slash; empty for the working directory. */
function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

function openFolder(path: string, flags: number, mode?: number): number {
  return openSync(hostName(folderOf(path) || '.'), flags, mode);
}

/** A file without a name in the directory of `path`; undefined where there are none, or none that can get a name later. */
function openUnnamed(path: string, mode: number, settings: DraftSettings): number | undefined {
  const { libc } = settings;
  if (!libc || constants.O_DIRECTORY === undefined) return undefined;
  const flags = TMPFILE | constants.O_DIRECTORY | constants.O_RDWR;
  let fd: number | undefined;
  try {
    // Confined programs may be allowed to write and to rename, but not to link: better to know before all the work.
    const trial = openFolder(path, flags, 0o600);
    const name = ownedName(path, settings);
    try {
      linkUnnamed(libc, trial, name);
    } finally {
      closeSync(trial);
    }
    unlinkSync(hostName(name));
    fd = openFolder(path, flags, mode);
    return fd;
  } catch {
    // Whatever it is: a file with a name shows whether it matters.
    return undefined;
  }
}

/** Gives a file without a name one; false if that is taken. */
function linkUnnamed(libc: Libc | undefined, fd: number, path: string): boolean {
  const result = libc?.link(`/proc/self/fd/${fd}`, path) ?? 0;
  if (result >= 0) return true;
  if (failedWith(result, 'EEXIST')) return false;
  throw libcError(result, undefined, { filename: path, access: 'link' });
}

/** Owner and mode of the file that is replaced. */
function adopt(fd: number, { uid, gid, mode }: Stats): void {
  const own = fstatSync(fd);
  try {
    if (own.uid !== uid || own.gid !== gid) fchownSync(fd, uid, gid);
  } catch {
    // Only root may give files away; who may replace a file of somebody else becomes its owner.
  }
  fchmodSync(fd, mode % 0o10000);
}

/** A free name in the directory of `path`, after what others left behind there was removed. */
function ownedName(path: string, settings: DraftSettings): string {
  const owner = thisOwner();
  if (owner !== undefined) removeDead(folderOf(path), owner, settings.libc);
  const random = new Uint8Array(8);
  fillRandom(random);
  const digits = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${folderOf(path)}.qimg-${owner === undefined ? '' : `${owner}${process.pid}-`}${digits}.part`;
}

/**
 * What a process number is valid in: one run of one kernel, and a namespace there. Whatever has another one may be alive
 * on another machine.
 */
function thisOwner(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replace(/[-\n]/g, '');
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
    return /^[0-9a-f]{32}$/.test(boot) && namespace !== '' ? `${boot}-${namespace}-` : undefined;
  } catch {
    return undefined;
  }
}

/** Removes files of processes that are gone. Several may do so at once, and none of it matters if it fails. */
function removeDead(folder: string, owner: string, libc: Libc | undefined): void {
  let names: string[] = [];
  try {
    names = readdirSync(hostName(folder || '.'));
  } catch {
    // Not readable: whoever may look will remove them.
  }
  for (const name of names) {
    const [, theirs, number] = OWNED.exec(name) ?? [];
    if (theirs !== owner || isAlive(Number(number))) continue;
    try {
      if (isForsaken(folder + name, libc)) unlinkSync(hostName(folder + name));
    } catch {
      // Somebody else was quicker, or it is not ours to remove.
    }
  }
}

/** What has ended counts as dead though nobody has asked for its exit code: in containers that may stay so for ever. */
function isAlive(number: number): boolean {
  try {
    process.kill(number, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  try {
    return !/\) Z [^)]*$/.test(readFileSync(`/proc/${number}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** True for a regular file that nobody has locked: a copy of a whole machine has our number, but its own locks. */
function isForsaken(path: string, libc: Libc | undefined): boolean {
  const fd = openSync(hostName(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return fstatSync(fd).isFile() && !(libc && isLockedByOthers(libc, fd));
  } finally {
    closeSync(fd);
  }
}

/** Makes the entries of the directory of `path` durable, where the file system has a way to. */
export function syncFolder(path: string): void {
  let fd: number | undefined;
  try {
    fd = openFolder(path, constants.O_RDONLY);
    fsyncSync(fd);
  } catch {
    // Some network file systems refuse, and Windows does; the name is there nevertheless.
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
