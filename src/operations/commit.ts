/** `commit`: moves an overlay's content down into an image of its backing chain. */
import { asBlockError, BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { KiB } from '../base/offset.ts';
import { isZero } from '../base/zero.ts';
import type { ImageNode } from '../block/node/node.ts';
import { frozenBelow, identityOf, placeName } from '../block/graph/bottom.ts';
import { isNameOf, nameFrom } from '../block/graph/names.ts';
import { protocolPrefix } from '../options/filename.ts';
import type { OperationContext } from './context.ts';
import { CommitSource } from './copy/commitSource.ts';
import { copyInto } from './copy/copy.ts';
import type { CommitRequest } from './requests.ts';
import { imageName, wholeNumber } from './shorthand.ts';
import { withSource } from './source.ts';

/** Result of {@link commit}. */
export interface CommitResult {
  /** Guest size in bytes of the overlay. */
  readonly size: number;
  /** The base became larger, to the size of the overlay. */
  readonly grown: boolean;
  /** Nothing is left in the overlay. */
  readonly emptied: boolean;
}

/** What is told while an image is committed. */
export interface CommitObserver {
  /** The image is open. */
  started?(): void;
}

/** Smallest unit in which data moves. */
const SMALLEST_UNIT = 4 * KiB;
/** The unit for images that have no clusters. */
const PLAIN_UNIT = 64 * KiB;

/**
 * Writes what the layers above the base have into the base, and then, unless it is to be left as it is or the base is
 * further down, empties the overlay. The base is on its medium before the overlay loses anything, so that the overlay reads the same at any time.
 * @throws BlockError with the real tool's message.
 */
export async function commit(
  context: OperationContext,
  request: CommitRequest,
  observer: CommitObserver = {},
): Promise<CommitResult> {
  wholeNumber('rate limit', request.rateLimit ?? 0, 0);
  const how = { writable: true, cache: request.cache ?? 'writeback', discard: 'unmap' } as const;
  return withSource(context, request.image, how, async (top) => {
    const size = top.size();
    observer.started?.();
    const place = await findBase(context, request, top);
    const grown = place.base.size() < size;
    const base = await openForWriting(place, grown);
    const total = await copyDown(context, request, top, base, place.depth);
    // Layers between the overlay and the base would show again what they have.
    const emptied = !request.drop && place.depth === 1 && (await empty(top));
    context.onProgress?.(total, total);
    return { size, grown, emptied };
  });
}

/** Where an image is in the chain. */
interface Place {
  readonly base: ImageNode;
  /** The layer directly above it. */
  readonly overlay: ImageNode;
  /** Number of layers above the base. */
  readonly depth: number;
}

async function findBase(context: OperationContext, request: CommitRequest, top: ImageNode): Promise<Place> {
  const { base: name } = request;
  if (name === undefined) {
    if (top.backing) return { base: top.backing, overlay: top, depth: 1 };
    throw invalidArgument('Image does not have a backing file');
  }
  let depth = 1;
  for (let overlay = top; overlay.backing; overlay = overlay.backing, depth++) {
    if (await isBackingOf(context, overlay, name)) return { base: overlay.backing, overlay, depth };
  }
  throw new BlockError('not-found', `Did not find '${name}' in the backing chain of '${imageName(request.image)}'`);
}

/** True if the user calls the backing image of `overlay` so: as it is stored, or by a name of the same file. */
async function isBackingOf(context: OperationContext, overlay: ImageNode, name: string): Promise<boolean> {
  const { backing, backingReference } = overlay;
  if (!backing || name === '') return false;
  if (backingReference?.file === name) return true;
  // A part of a file is not the file.
  const whole = backing.file === undefined || backing.name === backing.file.name;
  const identity = identityOf(backing);
  if (!whole || identity === undefined || protocolPrefix(name) !== undefined) return false;
  const path = await nameFrom(context, overlay.file ? placeName(overlay.file) : '', name);
  return path !== undefined && isNameOf(context, path, identity);
}

/** Opens the base, which could only be read until now, for writing in its place in the chain. */
async function openForWriting({ base, overlay, depth }: Place, resize: boolean): Promise<ImageNode> {
  const reopen = reopenerOf(base, depth);
  // What is below the base is opened anew with it.
  for (let node = base.backing, below = depth + 1; node; node = node.backing, below++) reopenerOf(node, below);
  const frozen = frozenBelow(base);
  if (frozen !== undefined) throw new BlockError('permission-denied', frozen);
  overlay.replaceBacking(undefined);
  await base.close();
  const writable = await reopen({ writable: true, resize });
  overlay.replaceBacking(writable);
  return writable;
}

function reopenerOf(node: ImageNode, depth: number): NonNullable<ImageNode['reopen']> {
  if (node.reopen && !node.quirks.staysReadOnly) return node.reopen;
  throw unsupported(`Block format '${node.format}' used by node '#block${depth}' does not support reopening files`);
}

async function copyDown(
  context: OperationContext,
  { rateLimit }: CommitRequest,
  top: ImageNode,
  base: ImageNode,
  depth: number,
): Promise<number> {
  try {
    if (base.size() < top.size()) await base.truncate(top.size());
    // Where the base has nothing but zeroes, those of the overlay change nothing.
    const blank = base.recordsZeroes && (await readsAsZero(base, 0, base.size()));
    const { clusterSize = PLAIN_UNIT } = await base.info();
    const source = (): CommitSource => new CommitSource(top, base, depth, Math.max(SMALLEST_UNIT, clusterSize));
    const { total } = await copyInto(context, source(), base, {
      reads: [top],
      counted: source,
      zeroedFrom: blank ? 0 : Number.POSITIVE_INFINITY,
      sparseSize: 0,
      ...(rateLimit === undefined || rateLimit === 0 ? {} : { rateLimit }),
    });
    await base.settle();
    return total;
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.kind === 'aborted' ? error : error.reworded(`Block job failed: ${error.strerror}`);
  }
}

/**
 * True if a range of an image reads as zeroes and nothing is allocated for it. Only in raw images data is looked at,
 * as their first block is always there.
 */
async function readsAsZero(node: ImageNode, start: number, end: number): Promise<boolean> {
  for (let at = start; at < end; ) {
    const { kind, length } = await node.map(at, end - at);
    let known = length;
    if (kind === 'unallocated') {
      const { backing } = node;
      if (backing && !(await readsAsZero(backing, at, Math.min(at + length, backing.size())))) return false;
    } else if (kind !== 'zero') {
      if (!node.plain) return false;
      const extent = await node.status(at, length);
      if (extent.kind !== 'hole' && !(await holdsZeroes(node, at, extent.length))) return false;
      known = extent.length;
    }
    at += known;
  }
  return true;
}

/** True for a few bytes that are all zero. */
async function holdsZeroes(node: ImageNode, offset: number, length: number): Promise<boolean> {
  if (length > PLAIN_UNIT) return false;
  const bytes = new Uint8Array(length);
  await node.read(offset, bytes);
  return isZero(bytes);
}

/** Empties the overlay if its format can do that; the others keep their copy of what is in the base now. */
async function empty(top: ImageNode): Promise<boolean> {
  try {
    if (!(await top.unfiltered.makeEmpty())) return false;
    await top.settle();
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Failed to empty ${top.file?.name ?? top.name}: ${error.strerror}`);
  }
  return true;
}
