/** Images through the pipes of a shell; judged by the real program. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { packedBy } from '../support/packed.ts';
import { ourProgram, real, run } from '../support/program.ts';
import { because } from '../support/skip.ts';

const MiB = 1048576;
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** Formats that go out in one pass. */
const FORMATS = ['raw', 'qcow2', 'vdi', 'vpc', 'vhdx', 'vmdk', 'parallels', 'qed', 'qcow'];
const LACK = lackOf(['xz', 'zstd', 'bzip2', 'gzip', 'tar'], 'xz-utils zstd bzip2 gzip tar');

describeWithOracle('pipes', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'qimg-pipes-'));
  const folder = join(cwd, 'bin');
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}` };

  beforeAll(async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, 'qimg'), `#!/bin/sh\nexec '${ourProgram()}' "$@"\n`, { mode: 0o755 });
    const program = readFileSync(process.execPath);
    writeFileSync(join(cwd, 'disk.raw'), program.subarray(0, 9 * MiB));
    truncateSync(join(cwd, 'disk.raw'), 48 * MiB);
    await real('convert -O qcow2 disk.raw disk.qcow2', cwd);
  });

  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  /** Runs a line of a shell whose pipes fail with their first failure. */
  function shell(line: string): Promise<{ stdout: string; stderr: string; code: number }> {
    return run('bash', ['-o', 'pipefail', '-c', line], { cwd, env });
  }

  async function works(line: string): Promise<string> {
    const { stdout, stderr, code } = await shell(line);
    expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    return stdout;
  }

  async function same(format: string, name: string): Promise<void> {
    const text = await real(`compare -f raw -F ${format} disk.raw ${name}`, cwd);
    expect(text).toContain('Images are identical');
    rmSync(join(cwd, name));
  }

  it.each(FORMATS)('take images of the format %s, in one pass', async (format) => {
    const options = format === 'vpc' ? '-o force_size=on' : '';
    await works(`qimg convert -O ${format} ${options} disk.qcow2 - > out`);
    if (format !== 'raw' && format !== 'vpc' && format !== 'qcow') await real(`check -q -f ${format} out`, cwd);
    await same(format, 'out');
  });

  it.each(FORMATS)('give images of the format %s', async (format) => {
    await real(`convert -O ${format} ${format === 'vpc' ? '-o force_size=on' : ''} disk.raw in`, cwd);
    await works(`cat in | qimg convert -O raw ${format === 'raw' ? '' : `-f ${format}`} - out`);
    await same('raw', 'out');
    const { size } = statSync(join(cwd, 'in'));
    if (format === 'raw') return;
    const { stderr, code } = await shell(
      `head -c ${Math.floor((size * 2) / 3)} in | qimg convert -O raw -f ${format} - out`,
    );
    expect({ code, isTold: stderr !== '' }).toEqual({ code: 1, isTold: true });
    expect(existsSync(join(cwd, 'out'))).toBe(false);
  });

  it('say what is made in a temporary file', async () => {
    for (const [format, options] of [
      ['qcow2', '-c'],
      ['vmdk', '-o subformat=streamOptimized'],
    ] as const) {
      const { stderr, code } = await shell(`qimg convert ${options} -O ${format} disk.qcow2 - > out`);
      expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 0, lines: 2 });
      expect(stderr).toContain('it is made in a temporary file');
      await same(format, 'out');
    }
  });

  it('end where the temporary file would become too large', async () => {
    const { stderr, code } = await shell('qimg convert -c -O qcow2 --spool-limit=1M disk.qcow2 - | wc -c');
    expect(code).toBe(1);
    expect(stderr).toContain('more than 1 MiB (its limit)');
  });

  it('end quietly when nobody reads', async () => {
    const { stderr, code } = await shell('qimg convert -O raw disk.qcow2 - | head -c 1000 > /dev/null');
    expect({ code, stderr }).toEqual({ code: 141, stderr: '' });
  });

  it('give one line when nothing good comes', async () => {
    for (const line of [
      "printf 'QFI\\373\\0\\0\\0\\3' | qimg convert -O raw - out",
      'gzip -c disk.raw | head -c 500000 | qimg convert -O qcow2 - out',
      'qimg info - < /nowhere',
    ]) {
      const { stderr, code } = await shell(line);
      expect({ line, code, lines: stderr.trimEnd().split('\n').length }).toEqual({ line, code: 1, lines: 1 });
      expect(existsSync(join(cwd, 'out'))).toBe(false);
    }
  });

  it('are read as files where they are', async () => {
    expect(await works('qimg info - < disk.qcow2')).toContain('file format: qcow2');
    expect(await works('qimg check - < disk.qcow2')).toContain('No errors');
    expect(await works('cat disk.qcow2 | qimg measure -O raw -')).toBe(await real('measure -O raw disk.qcow2', cwd));
  });

  it('are files called - for the real program', async () => {
    symlinkSync(ourProgram(), join(cwd, 'qemu-img'));
    const ours = await run(join(cwd, 'qemu-img'), ['info', '-'], { cwd });
    expect(ours.stderr).toContain("Could not open '-'");
  });

  describe.skipIf(LACK !== undefined)(`with compressed images${because(LACK)}`, () => {
    it.each(['gzip', 'xz', 'zstd', 'bzip2'] as const)('of %s', async (program) => {
      writeFileSync(join(cwd, 'packed'), packedBy(program, readFileSync(join(cwd, 'disk.raw'))));
      await works('cat packed | qimg convert -O qcow2 - out');
      await same('qcow2', 'out');
      writeFileSync(join(cwd, 'packed'), packedBy(program, readFileSync(join(cwd, 'disk.qcow2'))));
      await works('cat packed | qimg convert -O vdi - out');
      await same('vdi', 'out');
    });

    it('as the page about streams has them', async () => {
      const page = readFileSync(join(root, 'docs/streams.md'), 'utf8');
      const lines = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, code = '']) => code.trim().split('\n'));
      expect(lines.length).toBeGreaterThan(8);
      await real('convert -O vmdk -o subformat=streamOptimized disk.raw second.vmdk', cwd);
      const pack = (program: 'gzip' | 'xz' | 'zstd', name: string): void =>
        writeFileSync(
          join(cwd, `${name}.${{ gzip: 'gz', xz: 'xz', zstd: 'zst' }[program]}`),
          packedBy(program, readFileSync(join(cwd, name.replace('cloud', 'disk')))),
        );
      pack('xz', 'cloud.qcow2');
      pack('zstd', 'disk.raw');
      pack('gzip', 'disk.raw');
      execFileSync('tar', ['cf', 'disks.tar', 'disk.qcow2', 'second.vmdk'], { cwd });
      execFileSync('tar', ['cf', 'appliance.ova', 'second.vmdk'], { cwd });
      const keep = readFileSync(join(cwd, 'disk.raw'));
      for (const line of lines) {
        await works(line);
        writeFileSync(join(cwd, 'disk.raw'), keep);
      }
    });
  });
});
