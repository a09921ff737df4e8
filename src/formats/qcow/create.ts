/** New qcow images. */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import { checkNew, formatOfNew } from './encryption.ts';
import { encodeHeader, HEADER_SIZE, l1EntriesFor, MAX_BACKING_NAME, MAX_L1_ENTRIES } from './header.ts';
import type { CreateOptions } from './options.ts';

/** Geometry of images of their own, and of those with a backing image: there small clusters save copying. */
const PLAIN = { clusterBits: 12, l2Bits: 9 } as const;
const ON_BACKING = { clusterBits: 9, l2Bits: 12 } as const;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const { file, services } = context;
  const encryption = formatOfNew(options);
  const virtualSize = alignUp(options.size ?? 0, SECTOR);
  if (virtualSize === 0) {
    throw invalidArgument('Image size is too small, cannot be zero length');
  }
  const backing = options.backing_file;
  const name = backing === undefined ? undefined : utf8Bytes(backing);
  if (name && name.length > MAX_BACKING_NAME) throw invalidArgument('Backing file name too long');
  const geometry = name ? ON_BACKING : PLAIN;
  const l1Entries = l1EntriesFor(virtualSize, geometry.clusterBits, geometry.l2Bits);
  // The real tool writes such images and cannot open them.
  if (l1Entries > MAX_L1_ENTRIES) throw new BlockError('too-large', 'Image too large');
  if (encryption !== undefined) await checkNew(services, encryption, options);
  const l1Offset = HEADER_SIZE + alignUp(name?.length ?? 0, 8);
  // The L1 table is all zero: a hole will do.
  await file.writeZeroes(0, l1Offset + alignUp(l1Entries * 8, SECTOR));
  if (name) await file.write(HEADER_SIZE, name);
  const header = encodeHeader({
    virtualSize,
    ...geometry,
    encryption: encryption === undefined ? 0 : 1,
    l1Offset,
    l1Entries,
    backingOffset: name ? HEADER_SIZE : 0,
    backingLength: name?.length ?? 0,
  });
  await file.write(0, header);
}
