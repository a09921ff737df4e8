/** The file at the bottom of a node: its locks, and whether two nodes stand on the same one. */
import type { FileAccess } from '../../storage/files.ts';
import type { Storage } from '../../storage/storage.ts';
import { ImageNode } from '../node/node.ts';
import type { ProtocolStorage } from '../protocol.ts';
import { soleAccess } from './permission.ts';

/** A storage that can be the `file` of an image. */
export type FileNode = ProtocolStorage | ImageNode;

/**
 * Keeps everybody else away from the file of an open image from here on.
 * @throws BlockError `locked` if another program has it open.
 */
export async function claimFile(node: ImageNode): Promise<void> {
  await setAccess(node.file, soleAccess);
}

/** Raw layers and filters hand their permissions down to the file; other formats below have taken their own. */
export async function setAccess(file: Storage | undefined, access: FileAccess): Promise<void> {
  if (file instanceof ImageNode) {
    if (!file.transparent) return;
    const below = file.filter ? file.filter.children.map(({ node }) => node) : [file.file];
    for (const node of below) await setAccess(node, access);
    return;
  }
  const storage: ProtocolStorage | undefined = file;
  await storage?.setAccess?.(access);
}

/** The name from whose place names count that a node says: that of what a filter stands in front of. */
export function placeName(file: Storage): string {
  const only = file instanceof ImageNode && file.filter?.placeless !== true ? file.file : undefined;
  return only ? placeName(only) : file.name;
}

/** What messages call nodes such as `file`, if they have no place that relative names inside an image could count from. */
export function placeless(file: Storage | undefined): string | undefined {
  if (file instanceof ImageNode) return file.filter?.placeless === true ? file.format : placeless(file.file);
  const storage: ProtocolStorage | undefined = file;
  return storage?.placeless;
}

/** Why a node that is open for reading cannot be opened for writing, if its protocol knows. */
export function frozenBelow(file: Storage | undefined): string | undefined {
  if (file instanceof ImageNode) return frozenBelow(file.file);
  const storage: ProtocolStorage | undefined = file;
  return storage?.frozen;
}

/** `Limits.quickTransfer` of a node and all that it stands on, in bytes; infinite if none has any. */
export function quickTransfer(node: Storage | undefined): number {
  const own = node?.limits.quickTransfer ?? Number.POSITIVE_INFINITY;
  return node instanceof ImageNode ? Math.min(own, quickTransfer(node.file), quickTransfer(node.backing)) : own;
}

/** What makes two openings of one file equal; undefined if that cannot be known. Image nodes count as their file. */
export function identityOf(file: Storage | undefined): string | undefined {
  if (file instanceof ImageNode) return identityOf(file.file);
  const storage: ProtocolStorage | undefined = file;
  return storage?.identity;
}

/**
 * Reads what has not been read of what has checksums (compressed files) below an image and its backing images.
 * @throws BlockError if one is wrong, or the file is cut off.
 */
export async function verifyBelow(node: ImageNode): Promise<void> {
  await node.verifyOwn();
  for (const below of [node.file, node.backing]) if (below instanceof ImageNode) await verifyBelow(below);
}
