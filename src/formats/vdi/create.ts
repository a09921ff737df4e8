/** New VDI images. */
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { OptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { BLOCK, checkVirtualSize, encodeHeader, HEADER_SIZE, type Layout, layoutOf, UNALLOCATED } from './header.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  static: { kind: 'bool', help: 'Allocate all blocks from the start', default: false },
} as const;

/** Values of {@link createOptions}. */
type CreateOptions = OptionValues<typeof createOptions>;

/** Bytes of block map that are written at a time. */
const CHUNK = 1048576;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const { file, services } = context;
  const virtualSize = alignUp(options.size ?? 0, SECTOR);
  checkVirtualSize(BigInt(virtualSize));
  const fixed = options.static;
  const layout = layoutOf(virtualSize);
  await writeBlockMap(file, layout, fixed);
  if (fixed) await file.truncate(layout.dataOffset + layout.blocks * BLOCK);
  const identity = (): Uint8Array => randomId((into) => services.random(into));
  // The header comes last, so that an unfinished image is not taken for an image.
  await file.write(0, encodeHeader({ virtualSize, fixed, imageId: identity(), modificationId: identity() }));
}

async function writeBlockMap(file: Storage, layout: Layout, fixed: boolean): Promise<void> {
  const bytes = new Uint8Array(Math.min(CHUNK, layout.mapBytes));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < layout.mapBytes; at += bytes.length) {
    const length = Math.min(bytes.length, layout.mapBytes - at);
    for (let i = 0; i < length; i += 4) {
      const block = (at + i) / 4;
      view.setUint32(i, block >= layout.blocks ? 0 : fixed ? block : UNALLOCATED, true);
    }
    await file.write(HEADER_SIZE + at, bytes.subarray(0, length));
  }
}

/** A random UUID (RFC 9562 version 4) in the byte order of the format: its first three fields little endian. */
function randomId(random: (into: Uint8Array) => void): Uint8Array {
  const id = new Uint8Array(16);
  random(id);
  id[7] = ((id[7] ?? 0) & 0x0f) | 0x40;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return id;
}
