/**
 * Killed at any moment, the program leaves sources as they are, new targets whole or absent, and changed images sound
 * but for leaks. The moments are random; `test/crash` enumerates them all, on a disk in memory.
 */
import type { ChildProcess } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digest } from '../support/fileSystem.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { approve, ourProgram, ours, real, run, words } from '../support/program.ts';
import { standalone } from '../support/standalone.ts';

/** Kills per command; QIMG_TEST_KILLS asks for more. */
const KILLS = Number(process.env['QIMG_TEST_KILLS'] ?? 1);
const MIB = 1048576;

describeWithOracle('a program that is killed', () => {
  let directory = '';
  let source = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-killed-'));
    const bytes = Buffer.alloc(24 * MIB);
    for (let at = 0; at < bytes.length; at += 4)
      if (at % 65536 < 49152) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
    writeFileSync(join(directory, 'source.raw'), bytes);
    source = await digest(join(directory, 'source.raw'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Runs a command and kills it after a part of the time that it takes; true if it ended before. */
  async function killed(line: string, part: number, whole: number, signal: NodeJS.Signals): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const kill = (child: ChildProcess): void => {
      timer = setTimeout(() => child.kill(signal), part * whole);
    };
    const { code } = await run(ourProgram(), words(line), { cwd: directory, started: kill });
    clearTimeout(timer);
    return code === 0;
  }

  /** Milliseconds that a command takes when it is left alone. */
  async function timeOf(line: string): Promise<number> {
    const start = performance.now();
    const { code, stderr } = await run(ourProgram(), words(line), { cwd: directory });
    if (code !== 0) throw new Error(stderr);
    return performance.now() - start;
  }

  function moments(): number[] {
    // Starting up takes a good part of the time; nothing is written then.
    return Array.from({ length: KILLS }, (_, index) => 0.2 + (index + Math.random()) * (0.9 / KILLS));
  }

  const leftOver = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.part'));

  /**
   * The program without the C library: files cannot be without a name there. That is the one beside no other package; the
   * executable of Bun needs a compiler to call it.
   */
  function loneProgram(args: readonly string[]): [string, readonly string[]] {
    if (standalone) return [ourProgram(), args];
    const lone = join(directory, 'lone');
    if (!existsSync(lone)) cpSync(join(dirname(ourProgram()), 'dist/bin'), lone, { recursive: true });
    return [process.execPath, [join(lone, 'qimg.cjs'), ...args]];
  }

  it.each([
    { line: 'convert -f raw -O qcow2 source.raw new', format: 'qcow2' },
    { line: 'convert -c -f raw -O qcow2 source.raw new', format: 'qcow2' },
    { line: 'convert -f raw -O vhdx source.raw new', format: 'vhdx' },
    { line: 'convert -f raw -O raw -S 0 source.raw new', format: 'raw' },
    { line: 'create -q -f qcow2 -o preallocation=full new 64M', format: 'qcow2' },
  ])('leaves a new image whole or absent: $line', { timeout: 300_000 }, async ({ line, format }) => {
    const whole = await timeOf(line);
    rmSync(join(directory, 'new'));
    for (const part of moments()) {
      const done = await killed(line, part, whole, 'SIGKILL');
      if (existsSync(join(directory, 'new')) && line.startsWith('convert')) {
        expect(await real(`compare -f raw -F ${format} source.raw new`, directory)).toBe('Images are identical.\n');
        if (format !== 'raw') await real(`check -q -f ${format} new`, directory);
      } else if (line.startsWith('convert')) {
        expect(done).toBe(false);
      }
      expect(leftOver()).toEqual([]);
      rmSync(join(directory, 'new'), { force: true });
    }
    expect(await digest(join(directory, 'source.raw'))).toBe(source);
  });

  it('leaves what the next run removes where files need a name', { timeout: 300_000 }, async () => {
    const args = words('convert -c -f raw -O qcow2 source.raw new');
    let started = Promise.resolve();
    const { code } = await run(...loneProgram(args), {
      cwd: directory,
      env: { BUN_JSC_useJIT: '0' },
      started: (child) => {
        started = (async () => {
          while (child.exitCode === null && leftOver().length === 0) await new Promise((wake) => setTimeout(wake, 5));
          child.kill('SIGKILL');
        })();
      },
    });
    await started;
    expect(code).toBe(-1);
    expect(leftOver()).toHaveLength(1);
    // Two at once, one of which may find that the other was quicker.
    const next = ['one', 'two'].map((name) =>
      run(ourProgram(), ['convert', '-f', 'raw', 'source.raw', name], { cwd: directory }),
    );
    for (const { code: done, stderr } of await Promise.all(next))
      expect({ done, stderr }).toEqual({ done: 0, stderr: '' });
    expect(leftOver()).toEqual([]);
    for (const name of ['one', 'two']) rmSync(join(directory, name));
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'by %s keeps what --atomic was to replace',
    { timeout: 300_000 },
    async (signal) => {
      const line = 'convert --atomic -c -f raw -O qcow2 source.raw old';
      await real('create -q -f qcow2 old 3M', directory);
      const whole = await timeOf(line);
      for (const part of moments()) {
        await real('create -q -f qcow2 old 3M', directory);
        const before = await digest(join(directory, 'old'));
        await killed(line, part, whole, signal);
        if ((await digest(join(directory, 'old'))) !== before) {
          expect(await real('compare -f raw -F qcow2 source.raw old', directory)).toBe('Images are identical.\n');
        }
        expect(leftOver()).toEqual([]);
      }
    },
  );

  /** The real check finds leaks at worst. */
  async function atMostLeaks(image: string): Promise<void> {
    const { code, stderr } = await run(oracleProgram('qemu-img'), ['check', '-f', 'qcow2', image], { cwd: directory });
    const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Leaked cluster'));
    expect(lines).toEqual([]);
    expect([0, 3]).toContain(code);
  }

  it.each([
    'convert -n -f raw -O qcow2 source.raw used',
    'resize -q --preallocation=metadata used 4G',
    'resize -q --shrink used 8M',
    'snapshot -c other used',
    'snapshot -a one used',
    'snapshot -d one used',
    'amend -o refcount_bits=64 used',
    'amend -o compat=0.10 used',
    'check -q -r all used',
    'commit -q over',
    'rebase --backing= over',
  ])('leaves an existing image sound but for leaks: %s', { timeout: 300_000 }, async (line) => {
    /** Takes a part of the refcounts away, which a repair has to find again. */
    const loseRefcounts = (): void => {
      const file = openSync(join(directory, 'used'), 'r+');
      writeSync(file, new Uint8Array(200), 0, 200, 0x20000 + 100);
      closeSync(file);
    };
    const prepare = async (): Promise<void> => {
      for (const name of ['used', 'over']) rmSync(join(directory, name), { force: true });
      await real('convert -f raw -O qcow2 source.raw used', directory);
      if (/one|refcount_bits/.test(line)) await real('snapshot -c one used', directory);
      if (line.startsWith('check')) loseRefcounts();
      if (!line.includes('over')) return;
      await real('create -q -f qcow2 -b used -F qcow2 over', directory);
      for (const at of [0, 9, 15, 20]) {
        await run(oracleProgram('qemu-io'), ['-c', `write -q -P 7 ${at}M 3M`, 'over'], { cwd: directory });
      }
    };
    await prepare();
    const guest = async (image: string): Promise<string> => {
      await real(`convert -f qcow2 -O raw ${image} copy`, directory);
      const found = await digest(join(directory, 'copy'));
      rmSync(join(directory, 'copy'));
      return found;
    };
    // The guest of this image must not notice.
    const keeper = line.includes('over') ? 'over' : 'used';
    const keeps = !/^(convert|resize)/.test(line);
    const content = keeps ? await guest(keeper) : '';
    const whole = await timeOf(line);
    for (const part of moments()) {
      await prepare();
      await killed(line, part, whole, 'SIGKILL');
      // A repair that was interrupted has not found everything.
      if (!line.startsWith('check')) await atMostLeaks('used');
      if (line.includes('over')) await atMostLeaks('over');
      await ours('info used', directory);
      if (keeps) expect(await guest(keeper)).toBe(content);
      await run(ourProgram(), words('check -q -r all used'), { cwd: directory });
      await approve('used', 'qcow2', directory);
      if (keeps) expect(await guest(keeper)).toBe(content);
    }
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('by %s removes what it began', { timeout: 300_000 }, async (signal) => {
    for (const line of ['convert -c -f raw -O qcow2 source.raw new', 'convert -f raw -O vdi source.raw new']) {
      const whole = await timeOf(line);
      rmSync(join(directory, 'new'));
      for (const part of moments()) {
        const before = readdirSync(directory);
        await killed(line, part, whole, signal);
        if (existsSync(join(directory, 'new'))) {
          // It was complete before the signal came.
          const format = line.includes('vdi') ? 'vdi' : 'qcow2';
          await real(`compare -f raw -F ${format} source.raw new`, directory);
          rmSync(join(directory, 'new'));
        }
        expect(readdirSync(directory)).toEqual(before);
      }
    }
  });
});
