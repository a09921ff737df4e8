/**
 * `blkverify`: an image beside a raw copy of it. Both get what is written, both are read, and where they differ everything
 * ends. Options and names as in QEMU's docs/devel/testing/blkverify.
 */
import { invalidArgument } from '../../base/error.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { TwinStorage } from './twins.ts';

/** The filter. Its names are `blkverify:RAW:IMAGE`. */
export const blkverify: FilterDriver = {
  name: 'blkverify',
  roles: [
    { role: 'raw', alias: 'x-raw' },
    { role: 'test', alias: 'x-image', image: true },
  ],
  names: {
    parse: (name) => {
      const [, raw = '', ...test] = name.split(':');
      if (test.length === 0) throw invalidArgument('blkverify requires raw copy and original image path');
      return { options: {}, children: { raw, test: test.join(':') } };
    },
    print: (options, { raw = '', test = '' }) =>
      Object.keys(options).length === 0 ? `blkverify:${raw}:${test}` : undefined,
  },
  placeless: true,
  open: async ({ below, children, options }: FilterContext) => {
    const [unknown] = Object.keys(options);
    if (unknown !== undefined) {
      throw invalidArgument(`Block protocol 'blkverify' doesn't support the option '${unknown}'`);
    }
    return new TwinStorage(below, children.find(({ role }) => role === 'test')?.node ?? below);
  },
};
