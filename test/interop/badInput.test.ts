/** What cannot work gets the real program's line and exit code, and leaves everything as it was. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lackOfMounts, lackOfRoot } from '../support/needs.ts';
import { because } from '../support/skip.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { type Answer, SideBySide } from '../support/sideBySide.ts';

const FORMATS = ['qcow2', 'vdi', 'vmdk', 'vhdx', 'vpc', 'qed', 'qcow', 'parallels'];

/** Every command, with an image in its place; what it writes goes to `out`. */
function everyUseOf(image: string): string[] {
  return [
    `info ${image}`,
    `info --output=json ${image}`,
    `info -f qcow2 ${image}`,
    `check ${image}`,
    `check -f vmdk ${image}`,
    `map --output=json ${image}`,
    `measure -O qcow2 ${image}`,
    `compare ${image} good.qcow2`,
    `compare good.qcow2 ${image}`,
    `convert -O raw ${image} out`,
    `convert -f vdi -O raw ${image} out`,
    `convert -n -O raw good.qcow2 ${image}`,
    `dd if=${image} of=out bs=64k`,
    `snapshot -l ${image}`,
    `snapshot -c s ${image}`,
    `commit ${image}`,
    `rebase -b good.qcow2 -F qcow2 ${image}`,
    `amend -o compat=1.1 ${image}`,
    `resize ${image} 2M`,
    `create -f qcow2 -b ${image} -F qcow2 out`,
    `create -f qcow2 -b ${image} -F raw out 1M`,
  ];
}

describeWithOracle('bad input', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      writeFileSync(join(directory, 'empty'), '');
      writeFileSync(join(directory, 'junk'), Buffer.alloc(70_000, 'junk '));
      mkdirSync(join(directory, 'folder'));
      for (const format of FORMATS) {
        await real('qemu-img', `create -q -f ${format} good.${format} 4M`);
        await real('qemu-io', `-f ${format} -c 'write -P 1 0 1M' good.${format}`);
        const bytes = readFileSync(join(directory, `good.${format}`));
        for (const size of [60, 700, 66_000]) {
          writeFileSync(join(directory, `cut${size}.${format}`), bytes.subarray(0, size));
        }
      }
    });
    for (const side of ['theirs', 'ours'] as const) {
      symlinkSync('loop', both.path(side, 'loop'));
      symlinkSync('nowhere', both.path(side, 'dangling'));
    }
  }, 60_000);
  beforeEach(() => {
    for (const side of ['theirs', 'ours'] as const) rmSync(both.path(side, 'out'), { force: true });
  });
  afterAll(() => both.end());

  it.each(['missing', 'folder', 'folder/x', 'junk/x', 'loop', 'cut60.qcow2', 'cut66000.qcow2', "''"])(
    'is told apart: %s',
    async (image) => {
      const before = readdirSync(both.path('ours'));
      expect(await both.differences(everyUseOf(image))).toEqual([]);
      rmSync(both.path('ours', 'out'), { force: true });
      expect(readdirSync(both.path('ours'))).toEqual(before);
    },
  );

  it.each(FORMATS)('%s that ends too early is refused', async (format) => {
    const lines = [60, 700, 66_000].flatMap((size) => {
      const [cut, good] = [`cut${size}.${format}`, `good.${format}`];
      return [
        `info -f ${format} ${cut}`,
        `info ${cut}`,
        `check -f ${format} ${cut}`,
        `map -f ${format} ${cut}`,
        `convert -f ${format} -O raw ${cut} out`,
        `compare -f ${format} -F ${format} ${cut} ${good}`,
        `compare -f ${format} -F ${format} ${good} ${cut}`,
      ];
    });
    // A VDI without its data is zeroes for the real program, and damaged here.
    const reads = /^(?:check|convert|compare) .*cut(?:700|66000).vdi/;
    expect(await both.differences(lines.filter((line) => !reads.test(line)))).toEqual([]);
    for (const line of lines.filter((candidate) => reads.test(candidate))) {
      expect((await both.ourAnswer(line)).stderr).toMatch(/block index 0 is not in the file|'cut\d+.vdi' was cut off/);
    }
  });

  it.each([...FORMATS, 'raw', 'luks', 'bochs', 'cloop', 'nonsense'])('is not taken for %s', async (format) => {
    const lines = FORMATS.filter((other) => other !== format && other !== 'vpc').flatMap((other) => [
      `info -f ${format} good.${other}`,
      `convert -f ${format} -O raw good.${other} out`,
    ]);
    expect(await both.differences(lines)).toEqual([]);
  });

  it('of sizes is refused', async () => {
    const sizes = [
      '',
      '-1',
      '0x10',
      '1KB',
      '10%',
      'abc',
      '+1M',
      '99999999999999999999',
      '8E',
      '1 M',
      '1M1',
      '1s',
      'inf',
    ];
    const lines = sizes.flatMap((size) => [
      `create -f qcow2 new.qcow2 '${size}'`,
      `create -f qcow2 -o cluster_size='${size}' new.qcow2 1M`,
      `resize good.qcow2 -- '${size}'`,
      `measure --size '${size}' -O qcow2`,
      `convert -S '${size}' -O raw good.qcow2 out`,
      `convert -m '${size}' -O raw good.qcow2 out`,
      `convert -r '${size}' -O raw good.qcow2 out`,
      `dd if=good.qcow2 of=out bs='${size}'`,
      `map -s '${size}' good.qcow2`,
    ]);
    expect(await both.differences(lines)).toEqual([]);
  });

  it('of options is refused, and leaves no file', async () => {
    const options = [
      'cluster_size=1',
      'cluster_size=4M',
      'cluster_size',
      'foo=bar',
      'refcount_bits=3',
      'compat=2',
      'compat=2,refcount_bits=3',
      'preallocation=x',
      'lazy_refcounts=maybe',
      'compression_type=lz4',
      'compression_type=zstd,compat=0.10',
      'extended_l2=on,cluster_size=4k',
      'backing_file=missing',
      'backing_file=missing,backing_fmt=raw',
      'data_file_raw=on',
      'encrypt.format=foo',
      'encrypt.format=luks',
      'encrypt.format=luks,encrypt.key-secret=none',
      '=x',
    ];
    const lines = options.flatMap((list) => [
      `create -f qcow2 -o '${list}' new.qcow2 1M`,
      `convert -O qcow2 -o '${list}' good.qcow2 out`,
      `measure -O qcow2 -o '${list}' --size 1M`,
    ]);
    expect(await both.differences(lines)).toEqual([]);
    expect(existsSync(both.path('ours', 'out'))).toBe(false);
  });

  it('leaves links alone when it cannot be followed or used', async () => {
    const lines = ['create -f qcow2 loop 1M', 'convert -O qcow2 good.qcow2 loop', 'create -f qcow2 dangling 3E'];
    expect(await both.differences(lines)).toEqual([]);
    for (const name of ['loop', 'dangling']) expect(lstatSync(both.path('ours', name)).isSymbolicLink()).toBe(true);
  });

  describe('of files that are not ours', () => {
    const nobody = 65534;

    /** Both answers for a user without rights; `undefined` where this user cannot become that one. */
    async function asNobody(line: string): Promise<{ readonly theirs: Answer; readonly ours: Answer }> {
      const theirs = await both.theirAnswer(line, nobody);
      process.seteuid?.(nobody);
      try {
        return { theirs, ours: await both.ourAnswer(line) };
      } finally {
        process.seteuid?.(0);
      }
    }

    const lack = lackOfRoot();
    it.skipIf(lack !== undefined)(`is refused${because(lack)}`, async () => {
      for (const side of ['theirs', 'ours'] as const) {
        chmodSync(join(both.path(side), '..'), 0o755);
        writeFileSync(both.path(side, 'secret.raw'), Buffer.alloc(65536, 1), { mode: 0o600 });
        writeFileSync(both.path(side, 'fixed.raw'), Buffer.alloc(65536, 1), { mode: 0o444 });
        mkdirSync(both.path(side, 'closed'), { mode: 0o700 });
      }
      // Modules are loaded while that is allowed.
      await both.ourAnswer('convert -f raw -O qcow2 fixed.raw out');
      rmSync(both.path('ours', 'out'));
      for (const line of [
        'info secret.raw',
        'info closed/x',
        'check -f qcow2 secret.raw',
        'compare -f raw -F raw secret.raw fixed.raw',
        'compare -f raw -F raw fixed.raw secret.raw',
        'convert -f raw -O qcow2 secret.raw out',
        'convert -f raw -O qcow2 fixed.raw out',
        'convert -f raw -O raw fixed.raw closed/out',
        'convert -n -f raw -O raw fixed.raw secret.raw',
        'convert -f raw -O raw good.qcow2 fixed.raw',
        'create -f qcow2 out 1M',
        'create -f qcow2 fixed.raw 1M',
        'resize -f raw fixed.raw 1M',
        'info -f raw fixed.raw',
      ]) {
        const { theirs, ours } = await asNobody(line);
        expect({ line, ...ours }).toEqual({ line, ...theirs });
      }
      expect(readFileSync(both.path('ours', 'fixed.raw'))).toEqual(Buffer.alloc(65536, 1));
      expect(existsSync(both.path('ours', 'out'))).toBe(false);
    });
  });

  describe('on a disk that is full', () => {
    const mounted: string[] = [];
    const lack = lackOfMounts();
    /** A file system of 512 KiB on each side. */
    function mountSmall(): void {
      for (const side of ['theirs', 'ours'] as const) {
        mkdirSync(both.path(side, 'small'));
        const target = both.path(side, 'small');
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'none', target], { stdio: 'pipe' });
        mounted.push(target);
      }
    }
    afterAll(() => {
      for (const target of mounted) execFileSync('umount', [target]);
    });

    it.skipIf(lack !== undefined)(`is told, and nothing new stays${because(lack)}`, async () => {
      mountSmall();
      const source = readFileSync(both.path('ours', 'good.qcow2'));
      // How much was under way beside what failed is not the same.
      const place = (answer: Answer): Answer => ({
        ...answer,
        stderr: answer.stderr.replace(/at byte \d+/, 'at byte #'),
      });
      for (const line of [
        'convert -O raw good.qcow2 small/out',
        'convert -O qcow2 good.qcow2 small/out',
        'convert -O vmdk good.qcow2 small/out',
        'convert -c -O qcow2 good.qcow2 small/none/out',
        'dd if=good.qcow2 of=small/out bs=64k',
        'create -f raw -o preallocation=full small/out 2M',
        'create -f raw -o preallocation=falloc small/out 2M',
        'create -f qcow2 -o preallocation=full small/out 2M',
        'create -f qcow2 -o preallocation=falloc small/out 2M',
      ]) {
        const { theirs, ours } = await both.ask(line);
        expect({ line, ...place(ours) }).toEqual({ line, ...place(theirs) });
        expect(ours.code).toBe(1);
        expect({ line, left: readdirSync(both.path('ours', 'small')) }).toEqual({ line, left: [] });
        rmSync(both.path('theirs', 'small/out'), { force: true });
      }
      expect(readFileSync(both.path('ours', 'good.qcow2')).equals(source)).toBe(true);
    });
  });
});
