/** Deep checks of damaged images: they end with findings or a clear error, whatever is in the image. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FormatDriver } from '../../src/block/format.ts';
import { bochs } from '../../src/formats/bochs/driver.ts';
import { cloop } from '../../src/formats/cloop/driver.ts';
import { dmg } from '../../src/formats/dmg/driver.ts';
import { qcow } from '../../src/formats/qcow/driver.ts';
import { bochsImage } from '../fixtures/bochs.ts';
import { cloopImage } from '../fixtures/cloop.ts';
import { dmgImage, zlibChunk } from '../fixtures/dmg.ts';
import { deepCheckOn, qcowSample } from '../support/deepCheck.ts';
import { tolerate } from '../support/smallFormats.ts';

const DATA = new Uint8Array(4096).fill(1);

const bochsSample = {
  extent: 4096,
  size: 8192,
  catalog: [0, undefined],
  extents: [{ bitmap: Uint8Array.of(255), data: DATA }],
};

/** Samples, and where their structures are; negative from the end. */
const SAMPLES: readonly [FormatDriver, () => Uint8Array | Promise<Uint8Array>, readonly [number, number][]][] = [
  [bochs, () => bochsImage(bochsSample), [[64, 520]]],
  [cloop, () => cloopImage(DATA, 1024), [[128, 200]]],
  [
    dmg,
    () => dmgImage({ sectors: 8, tables: [{ chunks: [zlibChunk(0, DATA)] }] }),
    [
      [0, 200],
      [-512, 0],
    ],
  ],
  [
    qcow,
    qcowSample,
    [
      [0, 64],
      [0x3000, 0x3040],
    ],
  ],
];

it.each(SAMPLES.map(([driver, make, places]) => [driver.name, driver, make, places] as const))(
  'a damaged %s image',
  async (_, driver, make, places) => {
    const sample = await make();
    const positions = places.flatMap(([from, to]) => {
      const start = from < 0 ? sample.length + from : from;
      const end = to <= 0 ? sample.length + to : to;
      return Array.from({ length: end - start }, (__, index) => start + index);
    });
    const change = fc.record({ at: fc.constantFrom(...positions), value: fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff) });
    let found = 0;
    const changes = fc.array(change, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(changes, fc.nat(3), async (list, cut) => {
        const bytes = sample.slice(0, cut === 0 ? sample.length - 100 : sample.length);
        for (const { at, value } of list) if (at < bytes.length) bytes[at] = value;
        await tolerate(async () => {
          const { corruptions } = await deepCheckOn(driver, bytes);
          if (corruptions > 0) found++;
        });
      }),
    );
    expect(found).toBeGreaterThan(0);
  },
);
