/** What is known of a compressed file without decoding it: how long its content is, and where decoding can begin. */
import type { ByteStream } from '../../base/byteStream.ts';
import type { ForwardSource } from '../../storage/forward.ts';
import type { Storage } from '../../storage/storage.ts';
import { storageStream } from '../../storage/storageStream.ts';

/** Decodes a file from its beginning. */
export type Expand = (input: ByteStream) => Promise<ByteStream>;

/** A compressed file. */
export interface Layout extends ForwardSource {
  /** Bytes of the content as the file states them; undefined if it does not, or cannot be relied on to. */
  readonly size: number | undefined;
}

/** A file that can only be decoded from its beginning, and does not tell how long its content is. */
export function plainLayout(file: Storage, expand: Expand, size?: number): Layout {
  return { size, starts: [0], open: () => expand(storageStream(file)) };
}

/** Bytes that decoding gives, which checks all of them. */
export async function countBytes(stream: ByteStream): Promise<number> {
  const scratch = new Uint8Array(new ArrayBuffer(1048576));
  let size = 0;
  try {
    for (let count = await stream.read(scratch); count > 0; count = await stream.read(scratch)) size += count;
  } finally {
    await stream.close();
  }
  return size;
}
