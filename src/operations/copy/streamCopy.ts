/** Copies what comes in through a pipe as a raw disk of unknown length: the target grows with it. */
import { type ByteStream, readFully } from '../../base/byteStream.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import { throwIfStopped } from '../../base/inflight.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { Coder } from '../../block/capabilities.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { OperationContext } from '../context.ts';
import { chunkFor } from './pipeline.ts';
import { failed } from './reading.ts';
import { CompressedStore, PlainStore, type Ready } from './store.ts';
import { zeroSearch } from './zeroRuns.ts';

/** How it is stored. */
export interface StreamCopyOptions {
  /** Runs of so many zero bytes are left out; 0: none are. */
  readonly sparseSize: number;
  /** The target reads as zeroes where nothing was written. */
  readonly zeroed: boolean;
  readonly compressor?: Coder | undefined;
}

/** Reads the next piece; the last one is filled up to a whole sector. */
async function nextPiece(stream: ByteStream, into: Uint8Array, offset: number): Promise<Uint8Array> {
  try {
    const length = await readFully(stream, into);
    const padded = alignUp(length, SECTOR);
    into.fill(0, length, padded);
    return into.subarray(0, padded);
  } catch (thrown) {
    // No words of the C library say what is wrong with a stream.
    const { kind, message, code } = asBlockError(thrown);
    throw failed('read', new BlockError(kind, message, { cause: thrown, posix: { code, text: message } }), offset);
  }
}

/**
 * Copies a stream to its end into a target of no length, which can be resized.
 * @returns bytes of the disk.
 */
export async function copyStream(
  context: OperationContext,
  stream: ByteStream,
  target: ImageNode,
  options: StreamCopyOptions,
): Promise<number> {
  const { buffers } = context.services;
  const { compressor, sparseSize, zeroed } = options;
  const search = sparseSize > 0 ? zeroSearch(sparseSize) : undefined;
  const chunk = chunkFor(buffers, compressor?.unit ?? 1, { least: search?.step });
  const storeOptions = { zeroedFrom: zeroed ? 0 : Number.POSITIVE_INFINITY, buffers, ...(search ? { search } : {}) };
  const store = compressor
    ? new CompressedStore(target, compressor, storeOptions)
    : new PlainStore(target, storeOptions, 1);
  const own = [buffers.acquire(), buffers.acquire()] as const;
  let storing: Promise<void> = Promise.resolve();
  let offset = 0;
  try {
    for (let turn = 0; ; turn = 1 - turn) {
      throwIfStopped(context.signal);
      const bytes = await nextPiece(stream, (own[turn] as Uint8Array).subarray(0, chunk), offset);
      await storing;
      if (bytes.length === 0) return offset;
      const end = offset + bytes.length;
      await target.truncate(end);
      const piece = { kind: 'data', offset, length: bytes.length, segments: [] } as const;
      const ready: Ready = await store.prepare(piece, bytes);
      storing = store.store(ready, () => undefined);
      // Whoever waits for it is told.
      storing.catch(() => undefined);
      context.onProgress?.(end, end);
      offset = end;
    }
  } finally {
    await storing.catch(() => undefined);
    for (const buffer of own) buffers.release(buffer);
  }
}
