/** The vmdk driver: registration. */
import type { FormatDriver } from '../../block/format.ts';
import { create } from './create.ts';
import { openVmdk } from './open.ts';
import { createOptions, openOptions } from './options.ts';
import { probe } from './probe.ts';

/** VMDK images of VMware: all subformats that QEMU knows. */
export const vmdk: FormatDriver = {
  name: 'vmdk',
  probe,
  openOptions,
  createOptions,
  compresses: true,
  spreads: ({ subformat }) => /flat|twogb/i.test(subformat ?? ''),
  open: openVmdk,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
