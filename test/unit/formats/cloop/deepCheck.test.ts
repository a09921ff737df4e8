import { deflateSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { cloop } from '../../../../src/formats/cloop/driver.ts';
import { cloopOfBlocks } from '../../../fixtures/cloop.ts';
import { deepCheckOn, oneError, SOUND } from '../../../support/deepCheck.ts';

const GOOD = deflateSync(new Uint8Array(1024).fill(3));

function image(...blocks: Uint8Array[]): Uint8Array {
  return cloopOfBlocks(1024, [GOOD, ...blocks, GOOD]);
}

it.each<[string, Uint8Array, object]>([
  ['is sound', image(GOOD), SOUND],
  ['holds less', image(deflateSync(new Uint8Array(512))), oneError('block 1 cannot be decompressed to its size')],
  ['holds more', image(deflateSync(new Uint8Array(1025))), oneError('block 1 cannot be decompressed to its size')],
  [
    'is damaged',
    image(GOOD.map((byte, at) => (at > 4 ? byte ^ 0x55 : byte))),
    oneError('block 1 cannot be decompressed to its size'),
  ],
  ['is empty', image(new Uint8Array(0)), oneError('block 1 cannot be decompressed to its size')],
  [
    'is cut',
    image(GOOD).subarray(0, -1),
    oneError(`block 2 at 0x${(168 + 2 * GOOD.length).toString(16)} reaches beyond the end of the file`),
  ],
  [
    'has no table',
    cloopOfBlocks(1024, []).subarray(0, 140),
    oneError('the table of offsets at 0x88 reaches beyond the end of the file'),
  ],
])('a cloop image that %s', async (_, bytes, found) => {
  expect(await deepCheckOn(cloop, bytes)).toEqual(found);
});
