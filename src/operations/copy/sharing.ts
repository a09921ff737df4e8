/** Which parts of a source can be shared with a target instead of being copied: a reflink, as `cp` makes them. */
import { unsupported } from '../../base/error.ts';
import { isAligned, KiB, MiB } from '../../base/offset.ts';
import { ImageNode } from '../../block/node/node.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Storage } from '../../storage/storage.ts';
import type { SourceRun } from './source.ts';

/** Longest piece that is shared at once: little is done for it, however long it is. */
const SHARED_CHUNK = 16 * MiB;
/** What file systems share at least. */
const BLOCK = 4 * KiB;

/** Where a run is stored, for one that can be shared. */
export interface SharedPlace {
  readonly storage: Storage;
  readonly offset: number;
}

/** Knows the files of one copy. */
export class Sharing {
  /** Longest piece in bytes. */
  readonly chunk: number = SHARED_CHUNK;
  #files: ReadonlySet<Storage>;

  /** @param files of the source that share their blocks with those of the target. */
  private constructor(files: ReadonlySet<Storage>) {
    this.#files = files;
  }

  /** Looks at the files of a source and its backing images; undefined if none of them can share with the target. */
  static between(sources: readonly ImageNode[], target: ImageNode): Sharing | undefined {
    const targets = filesOf(target);
    const files = chainFiles(sources).filter((file) => targets.length > 0 && targets.every((to) => shares(file, to)));
    return files.length > 0 ? new Sharing(new Set(files)) : undefined;
  }

  /**
   * As {@link between}, for all files of the source.
   * @param name of the target in the message.
   * @throws BlockError if one of them cannot share with the target.
   */
  static demand(sources: readonly ImageNode[], target: ImageNode, name: string): Sharing {
    const targets = filesOf(target);
    const files = chainFiles(sources);
    const alone = files.find((file) => targets.length === 0 || !targets.every((to) => shares(file, to)));
    if (alone === undefined) return new Sharing(new Set(files));
    throw unsupported(`Blocks of '${alone.name}' cannot be shared with '${name}'`, {
      context: { filename: name, access: 'share' },
    });
  }

  /**
   * Where the bytes of a run are, if they can be shared as they are: also those of a hole in a file whose bytes are the
   * guest's, so that a unit with a hole in it is shared as a whole.
   */
  placeOf({ kind, status, storage, offset }: SourceRun): SharedPlace | undefined {
    if (kind === 'data' && status && !status.special) return this.#place(storage, offset);
    return kind === 'zero' && status?.node.transparent ? this.#place(status.storage, status.offset) : undefined;
  }

  /**
   * Called where `length` bytes at `offset` of a file of the source could not be shared: nothing more will be, unless it was
   * because they are no whole blocks.
   */
  failedAt(offset: number, length: number): void {
    if (isAligned(offset, BLOCK) && length >= BLOCK) this.#files = new Set();
  }

  #place(storage: Storage | undefined, offset: number | undefined): SharedPlace | undefined {
    if (!storage || offset === undefined) return undefined;
    const files = filesOf(storage);
    return files.length > 0 && files.every((file) => this.#files.has(file)) ? { storage, offset } : undefined;
  }
}

function shares(file: Storage, target: Storage): boolean {
  return target instanceof CheckedStorage && target.sharesWith(file);
}

/** The storages that hold the guest's bytes of one layer. */
function filesOf(storage: Storage): readonly Storage[] {
  if (!(storage instanceof ImageNode)) return [storage];
  const { children, file } = storage;
  if (children.length > 0) return children.flatMap(({ node }) => filesOf(node));
  return file ? filesOf(file) : [];
}

function chainFiles(sources: readonly ImageNode[]): readonly Storage[] {
  const files: Storage[] = [];
  for (const top of sources) {
    for (let node: ImageNode | undefined = top; node; node = node.backing) files.push(...filesOf(node));
  }
  return files;
}
