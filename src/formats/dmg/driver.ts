/** The driver of Apple disk images: only reading. */
import { BlockError, invalidImage } from '../../base/error.ts';
import { MAX_SIZE, SECTOR } from '../../base/offset.ts';
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import { kindOfFile } from '../../block/graph/notRaw.ts';
import { readAt } from '../../storage/storage.ts';
import { ChunkList } from './chunks.ts';
import { DmgImage } from './image.ts';
import { probe } from './probe.ts';
import { findTrailer, readTables } from './trailer.ts';

/** The real tool names the image twice where it has nothing better to say. */
function refused(context: OpenContext): BlockError {
  return invalidImage(`Could not open '${context.filename}': Invalid argument`);
}

/** The error for a file without a trailer; where only its name makes it an image of this format, that is said. */
async function noTrailer({ file, filename }: OpenContext): Promise<BlockError> {
  const head = await readAt(file, 0, 2048);
  const kind = kindOfFile(head) ?? 'a raw disk, or was cut off: a raw disk can be opened with the format raw';
  const hint = `'${filename}' has the name of an Apple disk image, but not its trailer. It may be ${kind}.`;
  const named = /\.dmg$/i.test(filename);
  return new BlockError('wrong-format', 'Could not locate UDIF trailer in dmg file', named ? { hint } : {});
}

async function open(context: OpenContext): Promise<ImageDriver> {
  const { file } = context;
  if (!context.readOnly) throw new BlockError('permission-denied', 'Image is read-only');
  const trailer = await findTrailer(file);
  if (!trailer) throw await noTrailer(context);
  const found = await readTables(file, trailer);
  if (!found) throw refused(context);
  if (found.moved) {
    context.warn(`The property list of '${context.filename}' is at ${found.moved.offset}, not where the trailer says`);
  }
  const list = new ChunkList();
  const sound = found.tables.every((table) => list.add(table, trailer.dataFork));
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
    services: context.services,
  });
}

/** Disk images of macOS (UDIF). */
export const dmg: FormatDriver = { name: 'dmg', probe, openOptions: {}, open };
