import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readFat } from '../fixtures/fat.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const KINDS = ['', 'floppy:', '12:', '16:', 'floppy:12:', 'floppy:16:'];

describeWithOracle('directories as FAT disks', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare((_, directory) => {
      // One entry in each directory, and whole clusters: order and slack are the real tool's own.
      mkdirSync(`${directory}/one/Sub.dir/deep`, { recursive: true });
      writeFileSync(`${directory}/one/Sub.dir/deep/Some long file name.bin`, new Uint8Array(81920).fill(7));
      mkdirSync(`${directory}/many/empty`, { recursive: true });
      for (const name of ['a', 'a b', 'A~1', '.x', 'größer', 'abcdefghi.txt', 'abcdefghj.txt', 'nothing']) {
        writeFileSync(`${directory}/many/${name}`, name === 'nothing' ? '' : name.repeat(4000));
      }
    });
  });
  afterAll(() => both.end());

  it('are described alike, and refused alike', async () => {
    const lines = [
      ...KINDS.map((kind) => `info fat:${kind}one`),
      'info --output=json fat:one',
      'info -f vvfat fat:one',
      'info -f qcow2 fat:one',
      'info fat:rw:one',
      'info fat:nowhere',
      'info --image-opts driver=vvfat,dir=one,label=abcdefghijkl',
      'info --image-opts driver=vvfat,dir=one,fat-type=13',
      'info --image-opts driver=vvfat',
      'info --image-opts driver=vvfat,dir=one,nonsense=1',
      'check fat:one',
      'create -f raw fat:one 1M',
      'resize fat:one 1M',
    ];
    expect(await both.differences(lines)).toEqual([]);
  });

  it('are the same, byte by byte, but for the times', async () => {
    for (const kind of KINDS) {
      // Behind the first megabytes all of these are empty.
      const line = `dd bs=64k count=16 -O raw if=fat:${kind}one of=${kind.replaceAll(':', '')}.raw`;
      expect(await both.differences([line])).toEqual([]);
      const disks = (['theirs', 'ours'] as const).map((side) =>
        readFileSync(both.path(side, `${kind.replaceAll(':', '')}.raw`)),
      );
      const [theirs, ours] = disks as [Buffer, Buffer];
      const differing = differences(theirs, ours);
      // Each entry has eleven bytes of dates and times; five of them belong to this directory.
      expect({ kind, many: differing.length > 60, far: differing.some((at) => !isTime(at)) }).toEqual({
        kind,
        many: false,
        far: false,
      });
    }
  });

  it('hold the same files', async () => {
    utimesSync(both.path('ours', 'many/a'), 1e9, 1e9);
    expect(await both.differences(['convert -O raw fat:floppy:many m.raw'])).toEqual([]);
    const [theirs, ours] = (['theirs', 'ours'] as const).map((side) => readFat(readFileSync(both.path(side, 'm.raw'))));
    expect(Object.keys(ours ?? {}).sort()).toEqual(Object.keys(theirs ?? {}).sort());
    for (const [path, content] of Object.entries(theirs ?? {})) {
      expect({ path, same: !content || Buffer.compare(content, ours?.[path] as Uint8Array) === 0 }).toEqual({
        path,
        same: true,
      });
    }
  });
});

function differences(a: Buffer, b: Buffer): readonly number[] {
  const found: number[] = [];
  for (let start = 0; start < a.length; start += 65536) {
    if (a.subarray(start, start + 65536).equals(b.subarray(start, start + 65536))) continue;
    for (let at = start; at < start + 65536; at++) if (a[at] !== b[at]) found.push(at);
  }
  return found;
}

/** True for the bytes of an entry in which times and dates are; entries start at multiples of 32. */
function isTime(at: number): boolean {
  const inEntry = at % 32;
  return (inEntry >= 14 && inEntry < 20) || (inEntry >= 22 && inEntry < 26);
}
