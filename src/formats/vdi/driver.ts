/** The VDI driver: opening, and registration. */
import type { ImageDriver } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { OptionTable } from '../../options/table.ts';
import { readAt } from '../../storage/storage.ts';
import { create, createOptions } from './create.ts';
import { HEADER_SIZE, parseHeader } from './header.ts';
import { VdiImage } from './image.ts';
import { VdiState } from './state.ts';
import { probe } from './probe.ts';

async function open(context: OpenContext): Promise<ImageDriver> {
  const bytes = await readAt(context.file, 0, HEADER_SIZE);
  return new VdiImage(new VdiState(context.file, parseHeader(bytes), bytes));
}

/** The VDI format of VirtualBox. */
export const vdi: FormatDriver = {
  name: 'vdi',
  probe,
  openOptions: {},
  createOptions,
  open,
  create,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
