import { expect, it } from 'vitest';
import { bigEndian, type Fields } from '../../../../src/base/bytes.ts';
import { qcow } from '../../../../src/formats/qcow/driver.ts';
import { deepCheckOn, oneError, qcowSample, SOUND } from '../../../support/deepCheck.ts';

/** Clusters of 4 KiB: the header and the L1 table, data, data, the L2 table, a compressed cluster. */
const L2 = 0x3000;
const ENTRY = { data: L2, more: L2 + 8, compressed: L2 + 24 };

it.each<[string, (fields: Fields) => void, object]>([
  ['is sound', () => undefined, SOUND],
  ['uses a cluster twice', (f) => f.setU64(ENTRY.more, 0x1000), { corruptions: 1, leaks: 1 }],
  [
    'forgot a cluster',
    (f) => f.setU64(ENTRY.more, 0),
    { corruptions: 0, leaks: 1, lines: ['Leaked bytes 0x2000 to 0x3000'] },
  ],
  ['has data over the L2 table', (f) => f.setU64(ENTRY.data, L2), { corruptions: 1, leaks: 1 }],
  ['has data between sectors', (f) => f.setU64(ENTRY.data, 0x1001), { corruptions: 2, leaks: 0 }],
  [
    'has data elsewhere',
    (f) => f.setU64(ENTRY.data, 2 ** 40),
    {
      corruptions: 1,
      leaks: 1,
      lines: ['ERROR cluster 0 at 0x10000000000 reaches beyond the end of the file', 'Leaked bytes 0x230 to 0x2000'],
    },
  ],
  ['has its L2 table elsewhere', (f) => f.setU64(48, 2 ** 62), { corruptions: 1 }],
  ['has data behind the disk', (f) => f.setU64(L2 + 16 * 8, 0x1000), { corruptions: 2 }],
  [
    'has an empty compressed cluster',
    (f) => f.setU64(ENTRY.compressed, 2 ** 63 + 0x4000),
    oneError('compressed cluster 3 has no bytes'),
  ],
  [
    'has a damaged compressed cluster',
    (f) => f.setU8(0x4001, 0xff),
    oneError('compressed cluster at 0x4000 cannot be decompressed'),
  ],
])('a qcow image that %s', async (_, change, found) => {
  const bytes = await qcowSample();
  change(bigEndian(bytes));
  expect(await deepCheckOn(qcow, bytes)).toMatchObject(found);
});
