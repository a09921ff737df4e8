import { expect, it } from 'vitest';
import { bochs } from '../../../../src/formats/bochs/driver.ts';
import { bochsImage } from '../../../fixtures/bochs.ts';
import { deepCheckOn, oneError, SOUND } from '../../../support/deepCheck.ts';

const EXTENT = 4096;

function disk(catalog: readonly (number | undefined)[]): Uint8Array {
  const extent = { bitmap: Uint8Array.of(0xff), data: new Uint8Array(EXTENT).fill(1) };
  return bochsImage({ extent: EXTENT, size: 3 * EXTENT, catalog, extents: [extent, extent] });
}

it.each([
  [[1, undefined, 0, undefined], SOUND],
  [[0, 1, 0], oneError('bytes 0x20c to 0x140c are used twice: an extent, an extent')],
  [[0, 1, 2], oneError('extent 2 at 0x260c reaches beyond the end of the file')],
  [[0, undefined, undefined, 1], oneError('catalog entry 3 is behind the end of the disk')],
  [[0, undefined, undefined], { corruptions: 0, leaks: 1, lines: ['Leaked bytes 0x140c to 0x260c'] }],
] as const)('a Bochs disk with the catalog %j', async (catalog, found) => {
  expect(await deepCheckOn(bochs, disk(catalog))).toEqual(found);
});
