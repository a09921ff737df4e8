/** The Parallels driver: opening, and registration. */
import { invalidArgument } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { readAt } from '../../storage/storage.ts';
import { check, needsRepair } from './check.ts';
import { create, createOptions } from './create.ts';
import { checkExtension } from './extension.ts';
import { HEADER_SIZE, parseHeader } from './header.ts';
import { ParallelsImage } from './image.ts';
import { ParallelsState } from './state.ts';
import { probe } from './probe.ts';

/** The real tool reserves space ahead while it writes, and cuts it off again; here clusters are made as needed. */
const openOptions = {
  'prealloc-size': { kind: 'size', help: 'Space to reserve at a time; accepted and not needed' },
  'prealloc-mode': { kind: 'string', help: 'Way of reserving: falloc or truncate; accepted and not needed' },
} as const satisfies OptionTable;

function checkOptions(options: OptionValues<typeof openOptions>): void {
  const mode = options['prealloc-mode'];
  if (mode !== undefined && mode !== 'falloc' && mode !== 'truncate') {
    throw invalidArgument(`invalid parameter value: ${mode}`);
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, readOnly, intent } = context;
  const bytes = await readAt(file, 0, HEADER_SIZE);
  const header = parseHeader(bytes, alignUp(file.size(), SECTOR));
  checkOptions(context.options);
  if (header.extension !== 0) {
    if (readOnly) await checkExtension(file, header, context.services);
    else context.warn('Format Extension ignored in RW mode');
  }
  const image = new ParallelsState(file, header, bytes);
  if (!readOnly && intent !== 'check' && (await needsRepair(image))) {
    await check(image, 'all', (line) => context.notice?.(line));
  }
  image.tellMissing = context.tellMissing;
  return new ParallelsImage(image);
}

/** The format of Parallels Desktop and Virtuozzo. */
export const parallels: FormatDriver = {
  name: 'parallels',
  probe,
  openOptions,
  createOptions,
  open,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
