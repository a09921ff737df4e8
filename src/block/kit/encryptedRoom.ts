/** Writing through a cipher. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import type { Allocation } from '../mapping.ts';
import type { BufferPool } from '../../base/inflight.ts';

/**
 * The room with bytes encrypted on their way into it. That happens in a buffer of the room's own: the caller's bytes
 * stay as they are.
 * @param encrypt encrypts in place; `guestOffset` is what the bytes are.
 */
export function encryptedRoom(
  room: Allocation,
  buffers: BufferPool,
  encrypt: (guestOffset: number, bytes: Uint8Array) => MaybePromise<void>,
): Allocation {
  let buffer: Uint8Array | undefined;
  const release = (): void => {
    if (buffer) buffers.release(buffer);
    buffer = undefined;
  };
  const space = (length: number): Uint8Array => {
    if (length > buffers.size) return new Uint8Array(length);
    buffer ??= buffers.acquire();
    return buffer.subarray(0, length);
  };
  return {
    ...room,
    encode(guestOffset, bytes) {
      const stored = space(bytes.length);
      stored.set(bytes);
      return andThen(encrypt(guestOffset, stored), () => stored);
    },
    commit() {
      release();
      return room.commit?.();
    },
    abort() {
      release();
      return room.abort?.();
    },
  };
}
