/** The luks driver: registration. The format itself is in `crypto/luks`, as qcow2 images contain it too. */
import type { FormatDriver } from '../../block/format.ts';
import { create, measure } from './create.ts';
import { open } from './image.ts';
import { amendOptions, createOptions, openOptions } from './options.ts';
import { probe } from './probe.ts';

/** LUKS volumes, version 1. */
export const luks: FormatDriver = {
  name: 'luks',
  probe,
  openOptions,
  createOptions,
  amendOptions,
  sharesFile: true,
  preallocates: true,
  sizeless: (options) => options['detached-header'] === true,
  open,
  create,
  measure,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
