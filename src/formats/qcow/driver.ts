/** The qcow (version 1) driver: opening, and registration. */
import { Fields } from '../../base/bytes.ts';
import { asBlockError, type BlockError } from '../../base/error.ts';
import type { BackingReference, ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import { MissingTables } from '../../block/node/missing.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { create } from './create.ts';
import { checkFormatOption, cipherOf } from './encryption.ts';
import { HEADER_SIZE, type Header, parseHeader } from './header.ts';
import { QcowState } from './state.ts';
import { createOptions, openOptions } from './options.ts';
import { QcowImage } from './image.ts';
import { probe } from './probe.ts';

/** The backing image that the header names; the format does not record its format. */
async function readBacking(file: Storage, header: Header): Promise<BackingReference | undefined> {
  if (header.backingOffset === 0 || header.backingLength === 0) return undefined;
  const bytes = await readAt(file, header.backingOffset, header.backingLength);
  const name = new Fields(bytes, 'big').utf8(0, bytes.length);
  return name === '' ? undefined : { file: name };
}

/** Tables at impossible places are reported as what reading them comes to, with the name once more. */
function openError(thrown: unknown, filename: string): BlockError {
  const error = asBlockError(thrown);
  return error.kind === 'io' ? error.prepend(`Could not open '${filename}': `) : error;
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, filename, readOnly, services, options } = context;
  const bytes = await readAt(file, 0, HEADER_SIZE);
  let header: Header;
  try {
    header = parseHeader(bytes);
  } catch (thrown) {
    throw openError(thrown, filename);
  }
  checkFormatOption(header, options);
  const wantsKey = header.encryption !== 0 && !context.keyless;
  const cipher = wantsKey ? await cipherOf(services, options) : undefined;
  const image = new QcowState({ file, header, filename, readOnly, services, cipher });
  if (context.tellMissing) image.missing = new MissingTables(file, context.tellMissing);
  return new QcowImage(image, await readBacking(file, header));
}

/** The qcow format, version 1. */
export const qcow: FormatDriver = {
  name: 'qcow',
  probe,
  openOptions,
  createOptions,
  compresses: true,
  unknownBackingFormat: (format) => `unrecognized backing format '${format}'`,
  open,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
