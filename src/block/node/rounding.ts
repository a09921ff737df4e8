/** Requests that are not multiples of a node's alignment, turned into ones that are. */
import type { MaybePromise } from '../../base/async.ts';
import { andThen } from '../../base/async.ts';
import { alignDown, alignUp } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';

/**
 * Reads through `read` in multiples of `unit`; the end of the image counts as aligned.
 * @param size end of the image in bytes.
 */
export function rounded(
  offset: number,
  into: Uint8Array,
  unit: number,
  size: number,
  read: (offset: number, into: Uint8Array) => MaybePromise<void>,
): MaybePromise<void> {
  const start = alignDown(offset, unit);
  const end = Math.min(size, alignUp(offset + into.length, unit));
  if (start === offset && end === offset + into.length) return read(offset, into);
  const bounce = new Uint8Array(end - start);
  return andThen(read(start, bounce), () => into.set(bounce.subarray(offset - start, offset - start + into.length)));
}

/** Writes through `store` in multiples of `unit`, reading what surrounds the bytes from `image` first. */
export async function writeRounded(
  image: Pick<Storage, 'size' | 'read'>,
  offset: number,
  from: Uint8Array,
  unit: number,
  store: (offset: number, from: Uint8Array) => Promise<void>,
): Promise<void> {
  const start = alignDown(offset, unit);
  const end = Math.min(image.size(), alignUp(offset + from.length, unit));
  if (start === offset && end === offset + from.length) return store(offset, from);
  const bounce = new Uint8Array(end - start);
  await image.read(start, bounce);
  bounce.set(from, offset - start);
  await store(start, bounce);
}
