/** The VHDX driver: registration and opening. */
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { OptionTable } from '../../options/table.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { VhdxChecker } from './check.ts';
import { create, createOptions } from './create.ts';
import { CurrentHeader } from './header.ts';
import { VhdxImage } from './image.ts';
import { chunkRatio, LOG_SECTOR, refuse, SECTION, tableEntries } from './layout.ts';
import { type Metadata, readMetadata } from './metadata.ts';
import { probe } from './probe.ts';
import { type Region, readRegions, RegionMap } from './regions.ts';
import { findLog, needsReplay, replay } from './replay.ts';
import { BlockTable } from './tables.ts';

async function open(context: OpenContext): Promise<ImageDriver> {
  const { file, filename } = context;
  const complain = (text: string): void => context.complain?.(text);
  await checkIdentifier(file, filename);
  const header = await CurrentHeader.read(file);
  const log = logRegion(header, filename);
  const replayed = await bringUpToDate(context, header);
  const map = new RegionMap();
  map.add(log);
  const regions = await readRegions({ file, filename, complain }, map);
  const metadata = await readMetadata(file, regions.metadata.offset, filename);
  const table = tableOf(context, regions.bat, metadata);
  if (context.intent !== 'check') {
    await table.check(metadata, map, (line) => {
      complain(line);
      throw refuse(filename, 'invalid-image', line);
    });
  }
  const checker = new VhdxChecker(table, metadata, map, replayed);
  const random = (into: Uint8Array): void => context.services.random(into);
  return new VhdxImage({ file, header, metadata, table, checker, random });
}

async function checkIdentifier(file: Storage, filename: string): Promise<void> {
  const start = await readAt(file, 0, 8);
  if (probe(start) === 0) throw refuse(filename, 'invalid-image', 'the file type identifier is missing');
}

function logRegion(header: CurrentHeader, filename: string): Region {
  const { logVersion, logOffset: offset, logLength: length } = header.value;
  if (logVersion !== 0) throw refuse(filename, 'invalid-image', `log version ${logVersion}`);
  if (offset < SECTION || offset % SECTION !== 0) {
    throw refuse(filename, 'invalid-image', `the log cannot be at ${offset}`);
  }
  return { offset, length };
}

/** Replays the log. @returns whether there was something to replay. */
async function bringUpToDate(context: OpenContext, header: CurrentHeader): Promise<boolean> {
  const log = await findLog(context.file, header, context.filename);
  if (!log) return false;
  if (context.readOnly) throw needsReplay(context.filename);
  await replay(log, header);
  return true;
}

function tableOf(context: OpenContext, region: Region, metadata: Metadata): BlockTable {
  const { file, filename } = context;
  const blocks = Math.ceil(metadata.virtualSize / metadata.blockSize);
  const ratio = chunkRatio(metadata.blockSize, metadata.logicalSectorSize);
  if (tableEntries(blocks, ratio) * 8 > region.length) {
    throw refuse(filename, 'invalid-image', 'the block allocation table is too short for the disk');
  }
  if (!context.readOnly && region.offset % LOG_SECTOR !== 0) {
    throw refuse(filename, 'invalid-image', 'the block allocation table is not aligned');
  }
  return new BlockTable({ file, offset: region.offset, blocks, ratio });
}

/** The VHDX format. */
export const vhdx: FormatDriver = {
  name: 'vhdx',
  probe,
  openOptions: {},
  createOptions,
  open,
  create,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
