/**
 * Limits that services set on the process: address space (OpenStack's Nova and Glance give `info` 1 GiB, Ironic gives
 * `convert` 2 GiB), the number of processes, what memory may be used for, no `/proc`. Too small a limit ends in one line.
 */
import { randomFillSync } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as zlib from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf, lackOfMounts, lackOfRoot } from '../support/needs.ts';
import { must, ourProgram, ours, preload, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';
import { onlyNode, standalone } from '../support/standalone.ts';

const MiB = 1048576;
const GiB = 1024 * MiB;
const SIZE = 96 * MiB;
const SECRET = '--object secret,id=k,data=x';
const LUKS = 'driver=luks,key-secret=k,file.filename=disk.luks';

/** Node 24 alone needs more than 1 GiB. */
const HEAVY = !standalone && Number.parseInt(process.versions.node, 10) >= 24;
const noLauncher = onlyNode('Bun needs fewer files, and says nothing where it gets too few processes');
const noGiB = HEAVY ? 'this version of Node needs more (use Node 20 or 22)' : undefined;
const noRoot = lackOfRoot();
const noMounts = lackOfMounts();
const noProc = onlyNode('Bun itself does not start without /proc');
const [major = 0, minor = 0] = release().split('.').map(Number);
const noProtection = major > 6 || (major === 6 && minor >= 3) ? lackOf(['python3'], 'python3') : 'needs Linux 6.3';

describe('limited to', () => {
  let directory = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-limits-'));
    const bytes = Buffer.alloc(SIZE);
    for (let at = 0; at < SIZE; at += 8192) randomFillSync(bytes, at, 4096);
    writeFileSync(join(directory, 'disk.raw'), bytes);
    // The unit in which zeroes are looked for is larger: this one is data everywhere.
    writeFileSync(join(directory, 'base.raw'), bytes.subarray(0, 32 * MiB));
    for (const line of [
      'convert -f raw -O qcow2 disk.raw disk.qcow2',
      'convert -c -f raw -O qcow2 disk.raw zlib.qcow2',
      'convert -c -f raw -O qcow2 -o compression_type=zstd,cluster_size=2M disk.raw zstd.qcow2',
      'convert -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk',
      `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 disk.raw disk.luks`,
      'create -q -f qcow2 -b base.raw -F raw over.qcow2 96M',
      'convert -n -f qcow2 -O qcow2 disk.qcow2 over.qcow2',
      'create -q -f qcow2 -b over.qcow2 -F qcow2 top.qcow2',
      'create -q -f qcow2 -o preallocation=metadata wide.qcow2 64G',
    ]) {
      await ours(line, directory);
    }
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o666);
    chmodSync(directory, 0o777);
  }, 120_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const limited = (bytes: number, line: string) =>
    run('prlimit', [`--as=${bytes}`, '--', ourProgram(), ...words(line)], { cwd: directory });

  it
    .skipIf(noGiB !== undefined)
    .each([
      '--version',
      'info zlib.qcow2',
      'info --backing-chain --output=json top.qcow2',
      `info ${SECRET} --image-opts ${LUKS}`,
      'check zlib.qcow2',
      'check wide.qcow2',
      'check stream.vmdk',
      'map top.qcow2',
      'map --output=json wide.qcow2',
      'measure -O qcow2 top.qcow2',
      'snapshot -c one disk.qcow2',
      'snapshot -l disk.qcow2',
      'snapshot -d one disk.qcow2',
      'create -f qcow2 new 10G',
      'create -f qcow2 -o preallocation=falloc new 64M',
      'create -f raw -o preallocation=full new 64M',
      `create ${SECRET} -f luks -o key-secret=k,iter-time=10 new 64M`,
      'resize wide.qcow2 +64M',
      'bitmap --add disk.qcow2 b0',
      'bitmap --remove disk.qcow2 b0',
      'amend -f qcow2 -o lazy_refcounts=on disk.qcow2',
      'bench -c 100 disk.qcow2',
    ])(`1 GiB of address space: %s${because(noGiB)}`, { timeout: 300_000 }, async (line) => {
    const { code, stderr } = await limited(GiB, line);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each([
    'convert -f raw -O raw disk.raw out',
    'convert -f raw -O qcow2 disk.raw out',
    'convert -t none -T none -f raw -O qcow2 disk.raw out',
    'convert -W -m 16 -f raw -O raw -S 0 disk.raw out',
    'convert -c -m 16 -f raw -O qcow2 disk.raw out',
    'convert -c -m 16 -f raw -O qcow2 -o compression_type=zstd,cluster_size=2M disk.raw out',
    'convert -f raw -O vmdk -o subformat=streamOptimized disk.raw out',
    'convert -f raw -O vhdx disk.raw out',
    `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 disk.raw out`,
    `convert ${SECRET} -O qcow2 --image-opts ${LUKS} out`,
    'convert -m 16 -f qcow2 -O raw zlib.qcow2 out',
    'convert -m 16 -f qcow2 -O raw zstd.qcow2 out',
    'convert -f vmdk -O raw stream.vmdk out',
    'compare -f raw -F qcow2 disk.raw zlib.qcow2',
    `compare ${SECRET} --image-opts driver=raw,file.filename=disk.raw ${LUKS}`,
    'dd if=zlib.qcow2 of=out bs=1M',
    'rebase -b base.raw -F raw top.qcow2',
    'commit -d over.qcow2',
    'check -r all over.qcow2',
  ])('2 GiB of address space: %s', { timeout: 300_000 }, async (line) => {
    const { code, stderr } = await limited(2 * GiB, line);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    rmSync(join(directory, 'out'), { force: true });
  });

  // Of these limits some leave V8's heap little more than nothing, with compilers or without: it ended with a trace there.
  it.skipIf(noGiB !== undefined).each([...(standalone ? [] : [270, 290, 310, 350]), 420, 755, 770, 785, 800, 815, 850])(
    `%s MiB, perhaps less than a command needs, which it says without a trace${because(noGiB)}`,
    { timeout: 300_000 },
    async (size) => {
      for (const [line, failed] of [
        ['convert -m 16 -f qcow2 -O raw zstd.qcow2 out', 1],
        ['compare -f raw -F qcow2 disk.raw zstd.qcow2', 2],
      ] as const) {
        const { code, stderr } = await limited(size * MiB, line);
        expect(stderr).toMatch(code === 0 ? /^$/ : /^(qemu-img|qimg): Cannot allocate memory(: .*)?\n$/);
        expect([0, failed]).toContain(code);
        expect(readdirSync(directory)).not.toContain(code === 0 ? '' : 'out');
        rmSync(join(directory, 'out'), { force: true });
      }
    },
  );

  it('very little address space, where it runs without compilers, or says so', { timeout: 300_000 }, async () => {
    const { code, stderr } = await limited((HEAVY ? 900 : 500) * MiB, 'info zlib.qcow2');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    if (standalone) return;
    const refused = await limited(150 * MiB, 'info zlib.qcow2');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^qimg: Cannot allocate memory: .*\n$/);
  });

  /** A built checkout that any user may read, wherever this one is. */
  function openCheckout(): string {
    const copy = join(directory, 'checkout');
    if (standalone) {
      cpSync(ourProgram(), copy);
      return copy;
    }
    if (existsSync(copy)) return join(copy, 'qimg');
    const packages = ['node_modules/.package-lock.json', 'node_modules/@koromix'];
    for (const name of ['dist', 'src', 'scripts', 'package.json', 'package-lock.json', 'qimg', ...packages]) {
      cpSync(join(dirname(ourProgram()), name), join(copy, name), { recursive: true, preserveTimestamps: true });
    }
    // The copied directories are newer than what was built from them.
    utimesSync(join(copy, 'dist/.stamp'), new Date(), new Date());
    return join(copy, 'qimg');
  }

  const crowded = (count: number, line: string) => {
    // A user without other processes, which would count.
    const user = 54321 + count;
    const limits = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', 'prlimit', `--nproc=${count}`, '--'];
    return run('setpriv', [...limits, openCheckout(), ...words(line)], { cwd: directory });
  };

  // Compilers and the collector of Bun have more threads.
  it.skipIf(noRoot !== undefined).each(standalone ? [12, 24] : [5, 12, 24])(
    `%s processes of a user${because(noRoot)}`,
    { timeout: 300_000 },
    async (count) => {
      for (const line of [
        'info zlib.qcow2',
        `convert -c -m 16 -f raw -O qcow2 base.raw few-${count}`,
        `compare -f raw -F qcow2 base.raw few-${count}`,
        `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 base.raw luks-${count}`,
        `check few-${count}`,
      ]) {
        const { code, stderr } = await crowded(count, line);
        expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
      }
    },
  );

  it.skipIf(noLauncher !== undefined)(
    `fewer open files than Node needs, where it ended by a signal${because(noLauncher)}`,
    async () => {
      const few = (count: number, line: string) =>
        run('prlimit', [`--nofile=${count}`, '--', ourProgram(), ...words(line)], { cwd: directory });
      // With 12 or less it is the shell that ends.
      for (const count of [13, 16, 19]) {
        const stderr = `qimg: Node.js needs at least 20 open files, and the limit is ${count}\n`;
        expect(await few(count, 'info zlib.qcow2')).toMatchObject({ code: 1, stderr });
        expect(await few(count, 'compare zlib.qcow2 disk.qcow2')).toMatchObject({ code: 2, stderr });
      }
      expect(await few(20, 'info zlib.qcow2')).toMatchObject({ code: 0, stderr: '' });
    },
  );

  it.skipIf((noLauncher ?? noRoot) !== undefined)(
    `fewer processes than Node needs, which it says${because(noLauncher ?? noRoot)}`,
    { timeout: 300_000 },
    async () => {
      const { code, stderr } = await crowded(3, 'info zlib.qcow2');
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'qimg: Node.js needs at least 4 processes, and the limit is 3\n',
      });
    },
  );

  it.skipIf((noLauncher ?? noRoot) !== undefined)(
    `fewer processes than Node needs left by others of the user, where Node hung${because(noLauncher ?? noRoot)}`,
    { timeout: 300_000 },
    async () => {
      // The shell, the others, and the program itself count.
      const script =
        'i=0; while [ $i -lt $2 ]; do sleep 60 & held="$held $!"; i=$((i+1)); done; prlimit --nproc=$1 -- $3; code=$?; kill $held; wait; exit $code';
      const beside = async (others: number, left: number, line: string) => {
        // Those of the last time may not be gone yet.
        const user = 54000 + others + left;
        const limits = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', 'sh', '-c', script, 'sh'];
        const args = [...limits, `${others + 2 + left}`, `${others}`, `${openCheckout()} ${line}`];
        return await run('setpriv', args, { cwd: directory });
      };
      for (const left of [0, 1, 2]) {
        expect(await beside(40, left, 'info zlib.qcow2')).toMatchObject({
          code: 1,
          stderr: `qimg: Node.js needs 4 processes, and others of this user leave fewer of ${42 + left}\n`,
        });
      }
      expect(await beside(40, 3, 'info zlib.qcow2')).toMatchObject({ code: 0, stderr: '' });
      expect(await beside(260, 4, 'convert -c -m 16 -f raw -O qcow2 base.raw beside')).toMatchObject({
        code: 0,
        stderr: '',
      });
    },
  );

  it.skipIf(noProtection !== undefined)(
    `memory that is never both written and run${because(noProtection)}`,
    { timeout: 300_000 },
    async () => {
      // PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, as systemd's MemoryDenyWriteExecute sets it.
      const script =
        'import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])';
      for (const line of [
        'info zlib.qcow2',
        'convert -c -f raw -O qcow2 base.raw hard.qcow2',
        'compare -f raw -F qcow2 base.raw hard.qcow2',
        `convert ${SECRET} -f raw -O luks -o key-secret=k,iter-time=10 base.raw hard.luks`,
      ]) {
        await must('python3', ['-c', script, ourProgram(), ...words(line)], {
          cwd: directory,
          env: { QIMG_JITLESS: '1' },
        });
      }
    },
  );

  it.skipIf(noProtection !== undefined)(
    `memory that is never both written and run, inherited from a service${because(noProtection)}`,
    { timeout: 300_000 },
    async () => {
      // As above, with PR_SET_NO_NEW_PRIVS: the service's number is that of the program which started this one.
      const script =
        'import ctypes, os, sys; p = ctypes.CDLL(None).prctl; p(38, 1, 0, 0, 0); p(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])';
      for (const variable of ['SYSTEMD_EXEC_PID', 'INVOCATION_ID']) {
        const stdout = await must('python3', ['-c', script, ourProgram(), 'info', 'zlib.qcow2'], {
          cwd: directory,
          env: { [variable]: '1' },
        });
        expect(stdout).toContain('compression type: zlib');
      }
    },
  );

  it.skipIf(noMounts !== undefined)(
    `zstd by WebAssembly only, without room for it: it ended with code 0 and no file${because(noMounts)}`,
    { timeout: 300_000 },
    async () => {
      const script =
        'for l in $(ldconfig -p | sed -n "s/.*libzstd.so.1 .* //p"); do mount --bind /dev/null "$l"; done; exec prlimit --as=$0 "$@"';
      for (const [line, failed] of [
        ['convert -f qcow2 -O raw zstd.qcow2 out', 1],
        ['convert -c -f raw -O qcow2 -o compression_type=zstd base.raw out', 1],
        ['compare -f raw -F qcow2 disk.raw zstd.qcow2', 4],
      ] as const) {
        const program = [ourProgram(), ...words(line)];
        const { code, stderr } = await run('unshare', ['-m', 'sh', '-c', script, `${2 * GiB}`, ...program], {
          cwd: directory,
        });
        if (standalone || 'zstdCompressSync' in zlib) expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        else {
          expect(stderr).toMatch(/^qemu-img: .*zstd .* needs WebAssembly here, which needs 12 GiB of address space\n$/);
          expect(code).toBe(failed);
        }
        rmSync(join(directory, 'out'), { force: true });
      }
    },
  );

  it('an event that never comes, which is no success', async () => {
    writeFileSync(join(directory, 'silent.cjs'), "require('node:crypto').pbkdf2 = () => {};\n");
    for (const [line, failed] of [
      [`convert ${SECRET} -O raw --image-opts ${LUKS} out`, 1],
      [`compare ${SECRET} --image-opts driver=raw,file.filename=disk.raw ${LUKS}`, 2],
    ] as const) {
      const { code, stderr } = await run(ourProgram(), words(line), {
        cwd: directory,
        env: preload(join(directory, 'silent.cjs')),
      });
      expect({ code, stderr }).toEqual({
        code: failed,
        stderr: 'qemu-img: The command was abandoned before it was complete\n',
      });
    }
  });

  it.skipIf((noProc ?? noMounts) !== undefined)(
    `no /proc, also with direct I/O${because(noProc ?? noMounts)}`,
    { timeout: 300_000 },
    async () => {
      writeFileSync(join(directory, 'odd.raw'), Buffer.alloc(100_001, 'odd'));
      const script = 'mount -t tmpfs none /proc && exec "$@"';
      for (const line of [
        'convert -t none -T none -f raw -O qcow2 odd.raw odd.qcow2',
        'compare -T none -f raw -F qcow2 odd.raw odd.qcow2',
        'convert -t directsync -f qcow2 -O vdi odd.qcow2 odd.vdi',
        'convert -c -f qcow2 -O qcow2 odd.qcow2 small.qcow2',
      ]) {
        await must('unshare', ['-m', 'sh', '-c', script, 'sh', ourProgram(), ...words(line)], { cwd: directory });
      }
      expect(readdirSync(directory).filter((name) => name.endsWith('.part'))).toEqual([]);
    },
  );
});
