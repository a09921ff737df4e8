/** The QED driver: opening, and registration. */
import { Fields } from '../../base/bytes.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { BackingReference, ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { OptionTable } from '../../options/table.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { repairUnclean } from './check.ts';
import { create, createOptions } from './create.ts';
import { Feature, HEADER_SIZE, type Header, MAX_BACKING_NAME, parseHeader } from './header.ts';
import { QedState } from './state.ts';
import { QedImage } from './image.ts';
import { probe } from './probe.ts';

/** The backing image that the header names. */
async function readBacking(file: Storage, header: Header): Promise<BackingReference | undefined> {
  if ((header.features & Feature.backing) === 0) return undefined;
  const bytes = await readAt(file, header.backingOffset, Math.min(header.backingLength, MAX_BACKING_NAME));
  const name = new Fields(bytes, 'little').utf8(0, bytes.length);
  if (name === '') return undefined;
  return (header.features & Feature.rawBacking) === 0 ? { file: name } : { file: name, format: 'raw' };
}

async function open(context: OpenContext): Promise<ImageDriver> {
  const { file, readOnly } = context;
  const bytes = await readAt(file, 0, HEADER_SIZE);
  const header = parseHeader(bytes, alignUp(file.size(), SECTOR));
  const image = new QedState({ file, header, readOnly, backing: await readBacking(file, header) });
  if (!readOnly && context.intent !== 'info') {
    // Features that this program does not keep up to date.
    if (header.autoclear !== 0n) await image.changeHeader({ autoclear: 0n });
    if (context.intent === 'io') await repairUnclean(image);
  }
  return new QedImage(image);
}

/** The QED format. */
export const qed: FormatDriver = {
  name: 'qed',
  probe,
  openOptions: {},
  createOptions,
  growsFromEmpty: true,
  unknownBackingFormat: (format) => `Parameter 'backing-fmt' does not accept value '${format}'`,
  open,
  create,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
