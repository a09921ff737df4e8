/** The qcow2 driver: opening, and registration. */
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import { openBitmaps } from './bitmaps/store.ts';
import { create } from './create.ts';
import { openEncryption } from './guest/crypt.ts';
import { repairDirty } from './dirty.ts';
import { Incompatible } from './structure/layout.ts';
import { measure } from './measure.ts';
import { openQcow2, prepareForWriting } from './open.ts';
import { amendOptions, createOptions, openOptions } from './options.ts';
import { probe } from './probe.ts';
import { metadataOnly } from './change/preallocation.ts';
import { Snapshots } from './snapshots/store.ts';
import { readSnapshotTable } from './snapshots/table.ts';
import { Qcow2Image } from './image.ts';

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const image = await openQcow2(context);
  const snapshots =
    context.intent === 'check' ? undefined : new Snapshots(image, await readSnapshotTable(image.file, image.header));
  image.bitmaps = await openBitmaps(image);
  await openEncryption(image, context);
  if (context.intent === 'io') {
    image.sparse = await metadataOnly(image);
  }
  if (!context.readOnly) {
    if ((image.header.incompatible & Incompatible.dirty) !== 0 && context.intent === 'io') await repairDirty(image);
    if (context.intent !== 'info') await prepareForWriting(image);
    if (context.intent === 'io') await image.bitmaps?.probeDirectory();
  }
  return new Qcow2Image(image, snapshots);
}

/** The qcow2 format. */
export const qcow2: FormatDriver = {
  name: 'qcow2',
  probe,
  openOptions,
  createOptions,
  amendOptions,
  compresses: true,
  growsFromEmpty: true,
  unknownBackingFormat: (format) => `Parameter 'backing-fmt' does not accept value '${format}'`,
  open,
  create,
  measure,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
