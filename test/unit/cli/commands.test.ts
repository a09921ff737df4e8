import { describe, expect, test } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import type { View } from '../../../src/cli/io.ts';
import { main } from '../../../src/cli/main.ts';
import { drivers } from '../../../src/drivers.ts';
import { MemoryIo } from '../../support/memoryIo.ts';

/** Runs a command line (words separated by blanks) that is expected to get through. */
async function ask(line: string): Promise<{ verb: string; request: unknown; view: View; io: MemoryIo }> {
  const io = new MemoryIo();
  const code = await main(line.split(' '), io);
  expect({ code, stderr: io.stderr }).toEqual({ code: 0, stderr: '' });
  const [first] = io.requests;
  if (first === undefined) throw new Error('nothing was asked for');
  return { ...first, io };
}

describe('requests', () => {
  test('create', async () => {
    const { request, view } = await ask('create -q -f qcow2 -o a=1,b -o noc -b base -F raw -u x 1.5G');
    expect(request).toEqual({
      filename: 'x',
      format: 'qcow2',
      options: [
        { name: 'a', value: '1' },
        { name: 'b', value: 'on', bare: true },
        { name: 'c', value: 'off', bare: true },
      ],
      size: 1610612736,
      backing: { filename: 'base', format: 'raw', unsafe: true },
    });
    expect(view.quiet).toBe(true);
  });

  test('info', async () => {
    const { request, view } = await ask('info --output=json --backing-chain -U -t none --limits -f raw x');
    expect(request).toEqual({
      image: { filename: 'x', format: 'raw' },
      backingChain: true,
      cache: 'none',
      limits: true,
      forceShare: true,
    });
    expect(view.json).toBe(true);
  });

  test('image options', async () => {
    const { request } = await ask('check --image-opts -r all driver=qcow2,file.filename=x');
    expect(request).toMatchObject({
      image: {
        options: { driver: 'qcow2', file: { filename: 'x' } },
        name: 'driver=qcow2,file.filename=x',
      },
      repair: 'all',
      deep: false,
    });
    expect((await ask('check --deep x')).request).toMatchObject({ deep: true });
  });

  test('map, measure, compare', async () => {
    expect((await ask('map -s 1k -l 2k x')).request).toMatchObject({ start: 1024, length: 2048 });
    expect((await ask('measure -O qcow2 --size 1M')).request).toEqual({
      size: 1048576,
      format: 'qcow2',
      options: [],
      forceShare: false,
    });
    expect((await ask('measure -l snapshot.id=1 x')).request).toMatchObject({ snapshot: { id: '1' } });
    expect((await ask('compare -f raw -F qcow2 -s a b')).request).toEqual({
      first: { filename: 'a', format: 'raw' },
      second: { filename: 'b', format: 'qcow2' },
      strict: true,
      forceShare: false,
    });
  });

  test('convert', async () => {
    const { request, io } = await ask(
      'convert -p -f raw -O qcow2 -o x=y -c -S 4k -m 3 -r 1M -W -U -t none -T unsafe -l snap -B base -F raw a b c',
    );
    expect(request).toEqual({
      source: [
        { filename: 'a', format: 'raw' },
        { filename: 'b', format: 'raw' },
      ],
      target: { filename: 'c', format: 'qcow2' },
      options: [{ name: 'x', value: 'y' }],
      snapshot: { either: 'snap' },
      backing: { filename: 'base', format: 'raw' },
      sourceCache: 'unsafe',
      targetCache: 'none',
      sparseSize: 4096,
      noCreate: false,
      atomic: false,
      durable: false,
      targetIsZero: false,
      compress: true,
      bitmaps: false,
      skipBrokenBitmaps: false,
      salvage: false,
      rateLimit: 1048576,
      parallel: 3,
      outOfOrder: true,
      copyRange: false,
      reflink: 'auto',
      forceShare: true,
    });
    expect(io.stdout).toBe('    (0.00/100%)\r\n');
    expect((await ask('convert --compress a b')).request).toMatchObject({ compress: true });
    expect((await ask('convert --reflink=always a b')).request).toMatchObject({ reflink: 'always' });
    expect((await ask('convert -n --target-image-opts a driver=raw')).request).toMatchObject({
      target: { name: 'driver=raw', options: { driver: 'raw' } },
    });
  });

  test.each([
    ['--reflink=sometimes', "Invalid reflink mode 'sometimes': auto, always or never is expected"],
    ['--reflink=always -c', '--reflink=always and --compress are mutually exclusive'],
    ['--reflink=always -S 0', '--reflink=always and --sparse-size are mutually exclusive'],
    ['--reflink=always -C', '--reflink=always and --copy-range are mutually exclusive'],
  ])('convert %s is a mistake', async (line, text) => {
    const io = new MemoryIo();
    expect(await main(`convert ${line} a b`.split(' '), io)).toBe(1);
    expect(io.stderr).toContain(text);
    expect(io.requests).toEqual([]);
  });

  test('dd, commit, rebase', async () => {
    expect((await ask('dd bs=1k count=2 skip=1 -O qcow2 if=a of=b')).request).toEqual({
      source: { filename: 'a' },
      target: { filename: 'b', format: 'qcow2' },
      blockSize: 1024,
      count: 2,
      skip: 1,
      forceShare: false,
    });
    expect((await ask('commit -b base x')).request).toMatchObject({ base: 'base', drop: true });
    expect((await ask('rebase -u x')).request).toMatchObject({ backing: { filename: '' }, unsafe: true });
  });

  test('resize', async () => {
    expect((await ask('resize x -1M')).request).toMatchObject({ size: '-1M' });
    expect((await ask('resize --shrink --preallocation=full x +1k')).request).toMatchObject({
      size: '+1k',
      shrink: true,
      preallocation: 'full',
    });
  });

  test('snapshot, bitmap, amend', async () => {
    expect((await ask('snapshot x')).request).toMatchObject({ action: 'list' });
    expect((await ask('snapshot -c one x')).request).toMatchObject({ action: 'create', name: 'one' });
    expect((await ask('bitmap --add --disable -g 64k --merge m -b src x b')).request).toEqual({
      image: { filename: 'x' },
      bitmap: 'b',
      actions: [{ kind: 'add' }, { kind: 'disable' }, { kind: 'merge', source: 'm' }],
      granularity: 65536,
      source: { filename: 'src' },
    });
    expect((await ask('amend -o a=b --force x')).request).toMatchObject({ force: true });
  });

  test('bench', async () => {
    expect((await ask('bench -w --pattern 0x41 -n -c 5 -d 2 --flush-interval 3 --no-drain x')).request).toEqual({
      image: { filename: 'x' },
      count: 5,
      depth: 2,
      write: true,
      pattern: 65,
      flushInterval: 3,
      drainOnFlush: false,
      aio: 'native',
      forceShare: false,
    });
  });

  test('-o help asks for options', async () => {
    expect(await ask('create -f qcow2 -o a=b,help x y')).toMatchObject({
      verb: 'option-help',
      request: { purpose: 'create', format: 'qcow2', filename: 'x' },
    });
    expect(await ask('convert -O qcow2 -o ? a')).toMatchObject({ request: { purpose: 'create', format: 'qcow2' } });
    expect(await ask('amend -o help x')).toMatchObject({ request: { purpose: 'amend', image: { filename: 'x' } } });
  });
});

describe('outcomes', () => {
  test('the exit code of the work is passed on', async () => {
    const io = new MemoryIo();
    io.outcome = 63;
    expect(await main(['check', 'x'], io)).toBe(63);
  });

  test.each([
    ['info x', 1],
    ['compare x y', 2],
  ])('%s: a failure is one line, its hint below', async (line, expected) => {
    const io = new MemoryIo();
    io.outcome = new BlockError('locked', 'Failed to get lock', { hint: 'Is another process using it?' });
    expect(await main(line.split(' '), io)).toBe(expected);
    expect(io.stderr).toBe('qemu-img: Failed to get lock\nIs another process using it?\n');
  });

  test('a failure ends the progress line', async () => {
    const io = new MemoryIo();
    io.outcome = new BlockError('io', 'Broken');
    expect(await main(['rebase', '-p', '-b', 'y', 'x'], io)).toBe(1);
    expect(io.stdout).toBe('    (0.00/100%)\r\n');
  });

  test('secrets reach the work', async () => {
    const io = new MemoryIo();
    let secret = '';
    io.execute = async ({ view }) => {
      secret = new TextDecoder().decode(await view.secrets.get('s'));
      expect(() => view.secrets.get('t')).toThrow("No secret with id 't'");
      return 0;
    };
    expect(await main('info --object secret,id=s,data=letmein x'.split(' '), io)).toBe(0);
    expect(secret).toBe('letmein');
  });

  test('warnings are named as such', async () => {
    const io = new MemoryIo();
    await main(['info', '--image-opts', 'driver=raw,x'], io);
    expect(io.stderr).toBe("qemu-img: warning: short-form boolean option 'x' deprecated\nPlease use x=on instead\n");
  });
});

describe('the program', () => {
  test('help names every command', async () => {
    const io = new MemoryIo();
    expect(await main(['--help'], io)).toBe(0);
    const [, listed = ''] = io.stdout.split('Supported image formats:\n');
    expect(listed.trim().split(/\s+/)).toEqual(drivers.names());
    expect(drivers.names()).toEqual(expect.arrayContaining(['qcow2', 'raw', 'file', 'null-co', 'blkdebug']));
    for (const verb of ['amend', 'bench', 'bitmap', 'check', 'commit', 'compare', 'convert', 'create', 'dd']) {
      expect(io.stdout).toContain(`  ${verb} - `);
    }
  });

  test('the version is on the first line', async () => {
    const io = new MemoryIo();
    expect(await main(['-V', 'whatever'], io)).toBe(0);
    expect(io.stdout).toMatch(/^qemu-img version \d+\.\d+\.\d+ /);
  });

  test('trace events are selected in vain', async () => {
    const io = new MemoryIo();
    io.files.set('list', new TextEncoder().encode('# comment\nqcow2_*\nnever\n'));
    expect(await main(['-T', 'enable=one,events=list', '-Tbdrv_*', '--version'], io)).toBe(0);
    expect(io.stderr).toBe(
      "qemu-img: warning: trace event 'one' does not exist\nqemu-img: warning: trace event 'never' does not exist\n",
    );
  });
});
