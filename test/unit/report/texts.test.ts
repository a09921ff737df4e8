import { describe, expect, it } from 'vitest';
import type { CheckResult, CheckFindings } from '../../../src/operations/check.ts';
import type { ImageInfo } from '../../../src/operations/info.ts';
import type { MapExtent } from '../../../src/operations/map.ts';
import { checkError, checkExitCode, formatCheck, formatCheckJson } from '../../../src/report/check.ts';
import { formatCreate } from '../../../src/report/create.ts';
import { formatInfo, formatInfoJson } from '../../../src/report/info.ts';
import { formatMap, formatMapJson, mapOpening } from '../../../src/report/map.ts';
import { formatMeasure, formatMeasureJson } from '../../../src/report/measure.ts';
import { snapshotLine, snapshotTitle } from '../../../src/report/snapshots.ts';

const CLEAN: CheckFindings = { corruptions: 0, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };

function checked(kind: Exclude<CheckResult['kind'], 'unsupported'>, findings: Partial<CheckFindings>): CheckResult {
  return { kind, filename: 'a', format: 'qcow2', findings: { ...CLEAN, ...findings } };
}

async function text(lines: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const part of lines) all += part;
  return all;
}

async function* each(...extents: MapExtent[]): AsyncGenerator<MapExtent> {
  yield* extents;
}

function parse(json: string): unknown {
  return JSON.parse(json);
}

describe('check', () => {
  it('counts what is wrong', () => {
    const result = checked('incomplete', { corruptions: 2, leaks: 1, checkErrors: 3 });
    expect(formatCheck(result)).toBe(
      '\n2 errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n' +
        '\n1 leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n' +
        '\n3 internal errors have occurred during the check.\n',
    );
    expect(checkError(result)).toBe('Check failed');
  });

  it('gives statistics only of images that hold something', () => {
    const clusters = { total: 256, allocated: 3, fragmented: 1, compressed: 0 };
    expect(formatCheck(checked('clean', { clusters, imageEndOffset: 589824 }))).toBe(
      'No errors were found on the image.\n' +
        '3/256 = 1.17% allocated, 33.33% fragmented, 0.00% compressed clusters\nImage end offset: 589824\n',
    );
    const empty = checked('clean', { clusters: { ...clusters, allocated: 0 } });
    expect(formatCheck(empty)).toBe('No errors were found on the image.\n');
    expect(JSON.parse(formatCheckJson(empty))).toEqual({
      'total-clusters': 256,
      'check-errors': 0,
      filename: 'a',
      format: 'qcow2',
      'fragmented-clusters': 1,
    });
  });

  it('rounds as C does', () => {
    const clusters = { total: 160, allocated: 5, fragmented: 1, compressed: 2 };
    expect(formatCheck(checked('clean', { clusters }))).toContain('5/160 = 3.12% allocated, 20.00% fragmented, 40.00%');
    const odd = { ...clusters, total: 800, allocated: 3 };
    expect(formatCheck(checked('clean', { clusters: odd }))).toContain('= 0.38% allocated, 33.33%');
  });

  it('has an exit code for every outcome', () => {
    const kinds = ['clean', 'incomplete', 'corrupt', 'leaks'] as const;
    expect(kinds.map((kind) => checkExitCode(checked(kind, {})))).toEqual([0, 1, 2, 3]);
    expect(checkExitCode({ kind: 'unsupported', filename: 'a', format: 'raw' })).toBe(63);
  });
});

describe('map', () => {
  const data: MapExtent = {
    start: 0,
    length: 65536,
    depth: 1,
    present: true,
    zero: false,
    data: true,
    compressed: false,
  };
  const placed: MapExtent = { ...data, offset: 327680, filename: 'b.qcow2' };

  it('shows people where data is, and nothing else', async () => {
    expect(mapOpening(false)).toBe('Offset          Length          Mapped to       File\n');
    const zero = { ...placed, start: 65536, data: false, zero: true };
    expect(await text(formatMap(each(placed, zero, { ...placed, zero: true })))).toBe(
      '0               0x10000         0x50000         b.qcow2\n',
    );
  });

  it('shows what it has when it comes to data that has no place', async () => {
    let shown = '';
    const run = async (): Promise<void> => {
      for await (const part of formatMap(each(placed, data))) shown += part;
    };
    await expect(run()).rejects.toThrow('File contains external, encrypted or compressed clusters.');
    expect(shown).toContain('b.qcow2');
  });

  it('has one object in each line for programs', async () => {
    expect(mapOpening(true)).toBe('[');
    const json = await text(formatMapJson(each(data, placed)));
    expect(json).toBe(
      '{ "start": 0, "length": 65536, "depth": 1, "present": true, "zero": false, "data": true, "compressed": false},\n' +
        '{ "start": 0, "length": 65536, "depth": 1, "present": true, "zero": false, "data": true, "compressed": false, ' +
        '"offset": 327680}]\n',
    );
  });

  it('loses no line of a long map', async () => {
    const many = Array.from({ length: 1500 }, (_, index) => ({ ...placed, start: index * 65536 }));
    expect(JSON.parse(mapOpening(true) + (await text(formatMapJson(each(...many)))))).toHaveLength(1500);
    expect((await text(formatMap(each(...many)))).split('\n')).toHaveLength(1501);
  });
});

describe('info', () => {
  const file: ImageInfo = {
    filename: 'a.img',
    format: 'file',
    protocol: true,
    virtualSize: 197120,
    dirty: false,
    snapshots: [],
    limits: { requestAlignment: 1, maxIov: 1024, maxTransfer: 0 },
    specific: { type: 'file', data: {} },
    children: [],
  };
  const image: ImageInfo = {
    filename: 'a.img',
    format: 'qcow2',
    protocol: false,
    virtualSize: 2 ** 20,
    actualSize: 0,
    clusterSize: 512,
    encrypted: true,
    dirty: true,
    backingFile: 'b',
    fullBackingFile: 'x/b',
    backingFormat: 'raw',
    snapshots: [
      {
        id: '1',
        name: 'é',
        vmStateSize: 1024,
        dateSeconds: 0,
        dateNanoseconds: 5,
        vmClockSeconds: 3723,
        vmClockNanoseconds: 4_000_005,
        virtualSize: 2 ** 20,
        zoneOffset: 3600,
      },
    ],
    children: [{ name: 'file', info: file }],
  };

  it('is laid out for people', () => {
    expect(formatInfo({ images: [image, { ...file, limits: { requestAlignment: 512 } }] })).toBe(
      'image: a.img\nfile format: qcow2\nvirtual size: 1 MiB (1048576 bytes)\ndisk size: 0 B\nencrypted: yes\n' +
        'cluster_size: 512\ncleanly shut down: no\nbacking file: b (actual path: x/b)\nbacking file format: raw\n' +
        'Snapshot list:\n' +
        'ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n' +
        '1       é                  1 KiB 1970-01-01 01:00:00  0001:02:03.004         --\n' +
        "Child node '/file':\n    filename: a.img\n    protocol type: file\n    file length: 192 KiB (197120 bytes)\n" +
        '    disk size: unavailable\n    Block limits:\n        request alignment: 1\n        max iov: 1024\n' +
        '\nimage: a.img\nfile format: file\nvirtual size: 192 KiB (197120 bytes)\ndisk size: unavailable\n' +
        'Block limits:\n    request alignment: 512\n',
    );
  });

  it('has the names of the real tool for programs', () => {
    const one = parse(formatInfoJson({ images: [image] }, false));
    expect(parse(formatInfoJson({ images: [image] }, true))).toEqual([one]);
    expect(one).toMatchObject({
      'virtual-size': 1048576,
      'full-backing-filename': 'x/b',
      'dirty-flag': true,
      encrypted: true,
      snapshots: [{ 'vm-clock-sec': 3723, 'vm-clock-nsec': 4000005, 'date-nsec': 5, 'vm-state-size': 1024 }],
      children: [{ name: 'file', info: { limits: { 'request-alignment': 1, 'max-iov': 1024 } } }],
    });
    expect(one).not.toHaveProperty(['snapshots', 0, 'icount']);
  });

  it('shows the counter of a snapshot that has one', () => {
    const [entry] = image.snapshots;
    if (!entry) throw new Error('no snapshot');
    const line = snapshotLine({ ...entry, name: 'a name that is longer than its column', instructionCount: '12' });
    expect(line).toBe(
      '1       a name that is longer than its column    1 KiB 1970-01-01 01:00:00  0001:02:03.004         12',
    );
    expect(snapshotTitle).toHaveLength(80);
  });
});

describe('create and measure', () => {
  it('repeat what they were asked for', () => {
    const plan = {
      filename: 'a b',
      format: 'qcow2',
      options: [
        ['size', '5'],
        ['backing_file', 'x,,y'],
      ],
    } as const;
    expect(formatCreate(plan)).toBe("Formatting 'a b', fmt=qcow2 size=5 backing_file=x,,y\n");
    expect(formatMeasure({ required: 1, fullyAllocated: 2 ** 62 })).toBe(
      'required size: 1\nfully allocated size: 4611686018427387904\n',
    );
    expect(formatMeasure({ required: 1, fullyAllocated: 2, bitmaps: 0 })).toMatch(/\nbitmaps size: 0\n$/);
    expect(JSON.parse(formatMeasureJson({ required: 1, fullyAllocated: 2, bitmaps: 3 }))).toEqual({
      required: 1,
      'fully-allocated': 2,
      bitmaps: 3,
    });
  });
});
