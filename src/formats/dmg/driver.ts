/** The driver of Apple disk images: only reading. */
import { BlockError } from '../../base/error.ts';
import { MAX_SIZE, SECTOR } from '../../base/offset.ts';
import type { FormatDriver, ImageDriver, OpenContext } from '../../block/driver.ts';
import { ChunkList } from './chunks.ts';
import { DmgImage } from './image.ts';
import { probe } from './probe.ts';
import { findTrailer, readTables } from './trailer.ts';

/** The real tool names the image twice where it has nothing better to say. */
function refused(context: OpenContext): BlockError {
  return new BlockError('invalid-image', `Could not open '${context.filename}': Invalid argument`);
}

async function open(context: OpenContext): Promise<ImageDriver> {
  const { file } = context;
  if (!context.readOnly) throw new BlockError('permission-denied', 'Image is read-only');
  const trailer = await findTrailer(file);
  if (!trailer) throw new BlockError('wrong-format', 'Could not locate UDIF trailer in dmg file');
  const tables = await readTables(file, trailer);
  if (!tables) throw refused(context);
  const list = new ChunkList();
  const sound = tables.every((table) => list.add(table, trailer.dataFork));
  if (list.unknownType !== undefined) {
    const type = list.unknownType.toString(16).padStart(2, '0');
    context.warn(`Image contains chunks of unknown type ${type}, accessing them will result in I/O errors`);
  }
  if (!sound) context.complain?.(list.problem ?? '');
  if (!sound || list.chunks.length === 0 || trailer.sectors >= 2n ** 63n) throw refused(context);
  const size = trailer.sectors * BigInt(SECTOR);
  if (size > BigInt(MAX_SIZE)) throw new BlockError('too-large', 'File too large');
  return new DmgImage({
    file,
    trailer,
    virtualSize: Number(size),
    chunks: list.sorted(Number(size)),
    codec: context.services.codec,
  });
}

/** Disk images of macOS (UDIF). */
export const dmg: FormatDriver = { name: 'dmg', probe, openOptions: {}, open };
