/** Commands on damaged qcow2 images answer as the real program does: what found damage does not say 0. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** Where new images with clusters of 4 KiB have things: table in cluster 1, block in 2, L1 in 3, L2 in 4, data from 5 on. */
const REFTABLE = 0x1000;
const REFBLOCK = 0x2000;
const L1_ENTRIES_IN_SNAPSHOT = 8;

describeWithOracle('damaged qcow2 images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      for (const name of ['plain', 'shot', 'marked']) {
        await real('qemu-img', `create -q -f qcow2 -o cluster_size=4096 ${name} 2M`);
        await real('qemu-io', `-f qcow2 -c 'write -P 1 0 256k' -c 'write -z 1M 64k' ${name}`);
      }
      await real('qemu-img', 'snapshot -c one shot');
      await real('qemu-img', 'bitmap --add marked b0');
    });
  });
  afterAll(() => both.end());

  /** Offset in a header field of 8 bytes, behind which `more` bytes are added. */
  function placeIn(name: string, field: number, more: number): number {
    return Number(readFileSync(both.path('ours', name)).readBigUInt64BE(field)) + more;
  }

  it.each([
    ['an unaligned refcount block', REFTABLE, '0000000000002200', 'amend -o refcount_bits=32 bad'],
    ['a refcount block that is named twice', REFTABLE + 8, '0000000000002000', 'amend -o refcount_bits=8 bad'],
    ['a refcount block far away', REFTABLE + 40, '0000010000000000', 'amend -o refcount_bits=64 bad'],
    ['data without references', REFBLOCK + 2 * 21, '000000000000', 'resize -q --shrink bad 64k'],
  ])('%s', async (_what, at, hex, line) => {
    both.damage('plain', 'bad', at, hex);
    expect(await both.differences([line, 'check -q bad'])).toEqual([]);
  });

  it('a snapshot whose table has no entries keeps the version', async () => {
    both.damage('shot', 'bad', placeIn('shot', 64, L1_ENTRIES_IN_SNAPSHOT), '00000000');
    both.damage('shot', 'same', placeIn('shot', 64, L1_ENTRIES_IN_SNAPSHOT), '00000000');
    expect(await both.differences(['amend -o compat=0.10 bad'])).toEqual([]);
    expect(readFileSync(both.path('ours', 'bad')).equals(readFileSync(both.path('ours', 'same')))).toBe(true);
  });

  it('refcounts without a single reference are not amended', async () => {
    // The real program crashes.
    both.damage('plain', 'bad', REFTABLE, '0000000000000000');
    const before = readFileSync(both.path('ours', 'bad'));
    expect(await both.ourAnswer('amend -o refcount_bits=32 bad')).toEqual({
      stdout: '',
      stderr: 'qemu-img: There are no references in the refcount table.\n',
      code: 1,
    });
    expect(readFileSync(both.path('ours', 'bad')).equals(before)).toBe(true);
  });

  it.each(['00000008', '7fffffff', '80000000', 'ffffffff'])('a bitmap with extra data of size %s', async (hex) => {
    // The extension of bitmaps comes first among those that follow the header; its directory is at offset 16.
    const header = readFileSync(both.path('ours', 'marked'));
    const extension = header.indexOf(Buffer.from('23852875', 'hex'));
    both.damage('marked', 'bad', Number(header.readBigUInt64BE(extension + 8 + 16)) + 20, hex);
    expect(await both.differences(['info bad', 'check -r all bad'])).toEqual([]);
  });
});
