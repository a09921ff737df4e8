/** VMDK images that we write, read by the real tool, and the other way round. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';
import { contentOf, createIn, fileOf, type Files, openIn } from '../unit/formats/vmdk/support.ts';

const GRAIN = 65536;
const SIZE = 33 * 2 ** 20 + 512;
const SUBFORMATS = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
] as const;

let directory: string;

/** Runs a program of the oracle in the directory of the test. */
function run(program: 'qemu-img' | 'qemu-io', ...args: string[]): string {
  return execFileSync(oracleProgram(program), args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' });
}

function toDisk(files: Files): void {
  for (const [name, file] of files) writeFileSync(join(directory, name), file.toBytes());
}

function fromDisk(prefix: string): Files {
  const files: Files = new Map();
  for (const name of readdirSync(directory)) {
    if (name.startsWith(prefix)) fileOf(files, name, readFileSync(join(directory, name)));
  }
  return files;
}

function model(): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  bytes.fill(1, 0, 3 * GRAIN);
  bytes.fill(2, 20 * GRAIN, 20 * GRAIN + 700);
  bytes.fill(3, SIZE - GRAIN);
  return bytes;
}

/** The text of a fresh image's files without what is random. */
function withoutIds(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/CID=[0-9a-f]{1,8}(\n[^\0]*)\0*/, 'CID=$1')
    .replace(/\0+$/, '');
}

describeWithOracle('vmdk and the real tool', () => {
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmdk-'));
    writeFileSync(join(directory, 'model.raw'), model());
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(SUBFORMATS)('%s: fresh images are alike', async (subformat) => {
    run('qemu-img', 'create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, 'same.vmdk', String(SIZE));
    const ours: Files = new Map();
    await createIn(ours, { size: SIZE, subformat }, 'same.vmdk');
    const theirs = fromDisk('same');
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
    for (const [name, file] of ours) {
      const [own, real] = [file.toBytes(), theirs.get(name)?.toBytes() as Uint8Array];
      // A content id may have fewer digits there.
      expect(Math.abs(own.length - real.length)).toBeLessThan(8);
      expect(withoutIds(own)).toBe(withoutIds(real));
    }
    for (const name of ours.keys()) rmSync(join(directory, name));
  });

  it.each(SUBFORMATS)('%s: the real tool reads ours', async (subformat) => {
    const files: Files = new Map();
    const name = `ours-${subformat}.vmdk`;
    await createIn(files, { size: SIZE, subformat }, name);
    const node = await openIn(files, { name });
    for (const at of [0, 1, 2, 20, Math.floor((SIZE - GRAIN) / GRAIN), Math.floor(SIZE / GRAIN)]) {
      await node.write(at * GRAIN, model().subarray(at * GRAIN, (at + 1) * GRAIN));
    }
    await node.close();
    toDisk(files);
    expect(run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', 'model.raw', name)).toContain('identical');
    expect(run('qemu-img', 'check', name)).toContain('No errors');
  });

  it.each(SUBFORMATS)('%s: we read what the real tool wrote', async (subformat) => {
    const name = `theirs-${subformat}.vmdk`;
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', '-o', `subformat=${subformat}`, 'model.raw', name);
    const node = await openIn(fromDisk(`theirs-${subformat}`), { name, readOnly: true });
    expect(Buffer.compare(await contentOf(node), model())).toBe(0);
  });

  it('takes turns with the real tool on one image', async () => {
    run('qemu-img', 'create', '-q', '-f', 'vmdk', '-o', 'zeroed_grain=on', 'turns.vmdk', String(SIZE));
    run('qemu-io', '-c', 'write -P 5 100k 300k', '-c', 'write -z 128k 64k', 'turns.vmdk');
    const files = fromDisk('turns');
    const node = await openIn(files, { name: 'turns.vmdk' });
    await node.write(200_000, new Uint8Array(1000).fill(6));
    await node.writeZeroes(4 * GRAIN, GRAIN);
    await node.close();
    toDisk(files);
    run('qemu-io', '-c', 'read -P 5 100k 28k', '-c', 'read -P 0 128k 64k', '-c', 'read -P 6 200000 1000', 'turns.vmdk');
    run('qemu-io', '-c', 'read -P 0 256k 64k', '-c', 'read -P 5 320k 80k', 'turns.vmdk');
    run('qemu-io', '-c', 'write -P 7 1M 64k', 'turns.vmdk');
    const back = new Uint8Array(GRAIN);
    await (await openIn(fromDisk('turns'), { name: 'turns.vmdk', readOnly: true })).read(2 ** 20, back);
    expect(back.every((byte) => byte === 7)).toBe(true);
  });

  it('checks the content id of the backing image as the real tool does', async () => {
    const files: Files = new Map();
    await createIn(files, { size: SIZE }, 'base.vmdk');
    await createIn(files, { size: SIZE, backing_file: 'base.vmdk', backing_fmt: 'vmdk' }, 'top.vmdk');
    toDisk(files);
    run('qemu-io', '-r', '-c', 'read -P 0 0 64k', 'top.vmdk');
    run('qemu-io', '-c', 'write -P 1 0 64k', 'base.vmdk');
    expect(() => run('qemu-io', '-r', '-c', 'read -P 1 0 64k', 'top.vmdk')).toThrow('Command failed');
    const changed = new Map([...fromDisk('base'), ...fromDisk('top')]);
    const backing = await openIn(changed, { name: 'base.vmdk', readOnly: true });
    const top = await openIn(changed, { name: 'top.vmdk', readOnly: true, backing });
    await expect(contentOf(top)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describeWithOracle('VMDK images whose extents are options', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M');
      await real('qemu-img', 'create -q -f vmdk -o subformat=twoGbMaxExtentSparse two.vmdk 1M');
    });
  });
  afterAll(() => both.end());

  it('are opened and refused alike', { timeout: 120_000 }, async () => {
    const options = [
      'extents.0.filename=flat-flat.vmdk',
      'extents.0=x',
      'extents.0.locking=off',
      'extents.0.driver=raw,extents.0.file.locking=off',
      'extents.0.driver=nope',
      'extents.0.driver=qcow2',
      'extents.0.foo=bar',
      'extents.0.node-name=e0',
      'extents.1.filename=x',
      'extents.0.locking=off,extents.1.locking=off',
      'extents=x',
    ];
    const lines = options.flatMap((option) =>
      ['flat', 'two'].map((name) => `info --image-opts driver=vmdk,file.filename=${name}.vmdk,${option}`),
    );
    expect(await both.differences(lines)).toEqual([]);
  });
});
