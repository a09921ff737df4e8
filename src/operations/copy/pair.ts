/** Two images side by side: what `compare` and `rebase` walk over. */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import type { BufferPool } from '../../base/inflight.ts';

/** One of the two: says what is where, in runs. */
export interface PairSide<R extends { readonly length: number }> {
  at(offset: number, length: number): MaybePromise<R>;
}

/** Runs of both images at one offset. */
export interface PairRun<R> {
  /** Bytes that both runs have. */
  readonly length: number;
  readonly one: R;
  readonly other: R;
}

/** The runs of both images at an offset. The first image's failure counts first. */
export function pairAt<R extends { readonly length: number }>(
  [first, second]: readonly [PairSide<R>, PairSide<R>],
  offset: number,
  length: number,
): MaybePromise<PairRun<R>> {
  const one = first.at(offset, length);
  if (!isPromise(one)) return andThen(second.at(offset, length), (other) => joined(one, other));
  return later(one, (async () => second.at(offset, length))());
}

async function later<R extends { readonly length: number }>(one: Promise<R>, other: Promise<R>): Promise<PairRun<R>> {
  await Promise.allSettled([one, other]);
  return joined(await one, await other);
}

function joined<R extends { readonly length: number }>(one: R, other: R): PairRun<R> {
  return { length: Math.min(one.length, other.length), one, other };
}

/** Fills a buffer. */
export type Reader = (into: Uint8Array) => Promise<void>;

/** Reads `length` bytes of one image, and gives the buffer back when `use` is done with it. */
export async function readOne<T>(
  buffers: BufferPool,
  length: number,
  read: Reader,
  use: (bytes: Uint8Array) => MaybePromise<T>,
): Promise<T> {
  const buffer = buffers.acquire();
  try {
    const bytes = buffer.subarray(0, length);
    await read(bytes);
    return await use(bytes);
  } finally {
    buffers.release(buffer);
  }
}

/** Reads `length` bytes of both images, and gives the buffers back when `use` is done with them. */
export async function readBoth<T>(
  buffers: BufferPool,
  length: number,
  [first, second]: readonly [Reader, Reader],
  use: (one: Uint8Array, other: Uint8Array) => MaybePromise<T>,
): Promise<T> {
  const taken = [buffers.acquire(), buffers.acquire()] as const;
  try {
    const [one, other] = [taken[0].subarray(0, length), taken[1].subarray(0, length)];
    const reads = [first(one), second(other)];
    // Both are waited for, as the buffers are theirs until then; the first image's failure counts first.
    await Promise.allSettled(reads);
    for (const read of reads) await read;
    return await use(one, other);
  } finally {
    for (const buffer of taken) buffers.release(buffer);
  }
}
