/** Containers: compressed files and archives, which are opened as what is in them. */
import { BlockError } from '../../base/error.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Reopen } from '../node/node.ts';
import type { FileNode } from './bottom.ts';
import { kindOfFile } from './notRaw.ts';
import { openFilter } from './openFilter.ts';
import { PROBE_SIZE } from './registry.ts';
import { closeQuietly, type Scope } from './scope.ts';

/** Containers in each other: a compressed archive, and one level for whoever compresses twice. */
const DEPTH = 3;

/** What an image is opened from. */
export interface Unpacked {
  readonly file: FileNode;
  /** Its first bytes, where they were read. */
  readonly head?: Uint8Array | undefined;
}

/**
 * What is in a file, as long as that is a container; the file itself if it is none. Whatever is made is closed by closing the
 * result; the file is the caller's until then.
 */
export async function unpacked(
  packed: FileNode,
  described: OptionTree[string] | undefined,
  scope: Scope,
  reopen: Reopen,
): Promise<Unpacked> {
  // Where somebody counts reads, or has them fail, none is added.
  if (packed.debugEvent) return { file: packed };
  let file = packed;
  let tree = described ?? null;
  let head = await headOf(file);
  for (let depth = 0; depth < DEPTH; depth++) {
    const name = head && scope.context.drivers.container(head);
    if (head === undefined || name === undefined) break;
    if (scope.writable) {
      throw new BlockError('read-only', `'${file.name}' is ${kindOfFile(head) ?? 'a container'}: it can only be read`);
    }
    const below = file;
    tree = { driver: name, file: tree };
    try {
      file = await openFilter(name, tree, scope, { openChild: async () => below, reopen });
      scope.context.deadline?.watch(file);
    } catch (error) {
      if (below !== packed) await closeQuietly(below);
      throw error;
    }
    head = await headOf(file);
  }
  return { file, head };
}

/** The first bytes of a file; undefined where they cannot be read, which whoever opens it says better. */
async function headOf(file: Storage): Promise<Uint8Array | undefined> {
  const head = new Uint8Array(Math.min(PROBE_SIZE, file.size()));
  try {
    await file.read(0, head);
    return head;
  } catch {
    return undefined;
  }
}
