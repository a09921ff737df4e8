import { describe, expect, it } from 'vitest';
import { bigEndian, type Fields } from '../../../../src/base/bytes.ts';
import { vpc } from '../../../../src/formats/vpc/driver.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import { deepCheckOn, oneError, SOUND } from '../../../support/deepCheck.ts';
import { createOn, openOn, storageOf } from '../../../support/vpcVhdx.ts';

const MiB = 1048576;
const TABLE = 1536;
/** Where the first block is. */
const FIRST = 2048;

/** An image with two blocks. */
async function image(subformat: string): Promise<Uint8Array> {
  const memory = new MemoryDriver(0);
  const file = storageOf(memory);
  await createOn(vpc, file, { size: 6 * MiB, subformat, force_size: true });
  const node = await openOn(vpc, file);
  await node.write(100, new Uint8Array(900).fill(7));
  await node.write(5 * MiB, new Uint8Array(900).fill(7));
  await node.close();
  return memory.toBytes();
}

async function changed(subformat: string, change: (fields: Fields) => void): Promise<object> {
  const bytes = await image(subformat);
  change(bigEndian(bytes));
  return deepCheckOn(vpc, bytes);
}

describe('the deep check of a dynamic VHD', () => {
  it.each<[string, (fields: Fields) => void, object]>([
    ['sound', () => undefined, SOUND],
    ['header', (f) => f.setU8(512 + 40, 1), oneError('checksum of the header is wrong')],
    ['no footer', (f) => f.setU8(f.length - 512, 0), oneError('there is no footer at the end of the file')],
    [
      'block used twice',
      (f) => f.setU32(TABLE + 4, FIRST / 512),
      oneError('bytes 0x800 to 0x200a00 are used twice: a block, a block'),
    ],
    ['block in the header', (f) => f.setU32(TABLE, 1), { corruptions: 3 }],
    [
      'unused block',
      (f) => f.setU32(TABLE, 0xffffffff),
      { corruptions: 0, leaks: 1, lines: ['Leaked bytes 0x800 to 0x200a00'] },
    ],
    ['bitmap', (f) => f.setU8(FIRST, 0x7f), oneError('block 0 has data in sectors that its bitmap calls unused')],
    ['bitmap of zeroes', (f) => f.setU8(FIRST, 0xc0), SOUND],
  ])('%s', async (_, change, found) => {
    expect(await changed('dynamic', change)).toMatchObject(found);
  });

  it('compares the footers', async () => {
    expect(await changed('dynamic', (fields) => fields.setU8(fields.length - 1, 1))).toEqual({
      corruptions: 2,
      leaks: 0,
      lines: ['ERROR checksum of the footer is wrong', 'ERROR the footer and its copy differ'],
    });
  });
});

describe('the deep check of a fixed VHD', () => {
  it.each<[string, (fields: Fields) => void, object]>([
    ['sound', () => undefined, SOUND],
    ['version', (f) => f.setU32(f.length - 500, 0x00010000), SOUND],
  ])('%s', async (_, change, found) => {
    expect(await changed('fixed', change)).toEqual(found);
  });

  it('sees that the footer is inside the disk', async () => {
    const bytes = await image('fixed');
    const cut = new Uint8Array(bytes.length - 1024);
    cut.set(bytes.subarray(0, cut.length - 512));
    cut.set(bytes.subarray(-512), cut.length - 512);
    expect(await deepCheckOn(vpc, cut)).toMatchObject({
      corruptions: 1,
      lines: ['ERROR the disk at 0x0 reaches beyond the end of the file'],
    });
  });
});
