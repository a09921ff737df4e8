import { describe, expect, it } from 'vitest';
import type { ServeRequest } from '../../../../../src/operations/requests.ts';
import { contextData, goData, type NbdClient } from '../../../../support/nbdClient.ts';
import { ServedMachine } from '../../../../support/servedImages.ts';

const [READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, ZERO, STATES] = [0, 1, 2, 3, 4, 5, 6, 7];
const [FUA, NO_HOLE, DF, ONE, FAST, PAYLOAD] = [1, 2, 4, 8, 16, 32];
const [EPERM, EINVAL, ENOSPC, ENOTSUP] = [1, 22, 28, 95];
const SIZE = 8 * 1024 * 1024;

/** `toEqual` looks at each byte on its own. */
const same = (first: Uint8Array, second: Uint8Array): boolean => Buffer.compare(first, second) === 0;

/** A client of a raw image and of its bytes. */
async function served(
  request: Partial<ServeRequest> = {},
  form: NbdClient['form'] = 'structured',
  ...contexts: readonly string[]
): Promise<{ client: NbdClient; machine: ServedMachine; flags: number }> {
  const machine = new ServedMachine();
  machine.put(
    'a',
    new Uint8Array(SIZE).map((_, index) => (index < 5000000 ? (index % 251) + 1 : 0)),
  );
  await machine.serve({ image: { filename: 'a', format: 'raw' }, writable: true, ...request });
  const client = await machine.client();
  const { flags } = await client.go('', form, ...contexts);
  return { client, machine, flags };
}

describe.each(['simple', 'structured', 'extended'] as const)('requests with %s replies', (form) => {
  it('read, also what is longer than a piece', async () => {
    const { client, machine } = await served({}, form);
    const bytes = machine.files.bytes('a');
    for (const [offset, length] of [
      [0, 1],
      [511, 1025],
      [4999999, 2],
      [100, 65536],
      [1, 3000000],
      [4999000, 3000000],
      [0, SIZE],
      [SIZE - 1, 1],
    ] as const) {
      const got = await client.read(offset, length);
      expect(same(got, bytes.subarray(offset, offset + length))).toBe(true);
    }
  });

  it('change the image', async () => {
    const { client, machine } = await served({}, form);
    const own = form === 'extended' ? PAYLOAD : 0;
    const data = new Uint8Array(5000000).map((_, index) => index & 0xff);
    expect(await client.error({ command: WRITE, flags: own, offset: 777, data })).toBe(0);
    expect(await client.error({ command: WRITE, flags: own | FUA, offset: 0, data: data.subarray(0, 1) })).toBe(0);
    expect(await client.error({ command: WRITE, flags: own, offset: 5, data: new Uint8Array() })).toBe(0);
    expect(await client.error({ command: ZERO, flags: NO_HOLE, offset: 1000, length: 100000 })).toBe(0);
    expect(await client.error({ command: ZERO, flags: FUA, offset: 200000, length: 70000 })).toBe(0);
    expect(await client.error({ command: TRIM, flags: FUA, offset: 1 << 20, length: 4096 })).toBe(0);
    expect(await client.error({ command: CACHE, offset: 0, length: 1000000 })).toBe(0);
    expect(await client.error({ command: FLUSH })).toBe(0);
    const expected = new Uint8Array(SIZE);
    expected.set(data, 777);
    for (let at = 1; at < 777; at++) expected[at] = (at % 251) + 1;
    expected[0] = 0;
    expected.fill(0, 1000, 101000);
    expected.fill(0, 200000, 270000);
    const got = await client.read(0, 1 << 20);
    expect(same(got, expected.subarray(0, 1 << 20))).toBe(true);
    expect(same(machine.files.bytes('a').subarray(2 << 20, 3 << 20), expected.subarray(2 << 20, 3 << 20))).toBe(true);
  });

  it('are refused where they cannot be', async () => {
    const { client } = await served({}, form);
    const data = new Uint8Array(100);
    expect(await client.error({ command: READ, offset: SIZE, length: 1 })).toBe(EINVAL);
    expect(await client.error({ command: READ, offset: 0xffffffffffffffffn, length: 1 })).toBe(EINVAL);
    expect(await client.error({ command: READ, offset: 0, length: 33554433 })).toBe(EINVAL);
    expect(await client.error({ command: READ, offset: 0, length: 0 })).toBe(EINVAL);
    expect(await client.error({ command: READ, offset: 0, length: 1, flags: 0x100 })).toBe(EINVAL);
    expect(await client.error({ command: WRITE, offset: SIZE - 99, data })).toBe(ENOSPC);
    expect(await client.error({ command: WRITE, offset: 0, data, flags: DF })).toBe(EINVAL);
    expect(await client.error({ command: ZERO, offset: SIZE, length: 1 })).toBe(ENOSPC);
    expect(await client.error({ command: TRIM, offset: SIZE, length: 1 })).toBe(EINVAL);
    expect(await client.error({ command: CACHE, offset: SIZE, length: 1 })).toBe(EINVAL);
    expect(await client.error({ command: STATES, offset: 0, length: 1 })).toBe(EINVAL);
    expect(await client.error({ command: 99, length: 1 })).toBe(EINVAL);
    expect(await client.read(0, 3)).toEqual(new Uint8Array([1, 2, 3]));
  });

  it('only read what is not to be written', async () => {
    const { client, flags } = await served({ writable: false }, form);
    expect(flags & 0x2).toBe(0x2);
    for (const command of [WRITE, TRIM, ZERO]) {
      expect(
        await client.error({
          command,
          offset: 0,
          ...(command === WRITE ? { data: new Uint8Array(9) } : { length: 9 }),
        }),
      ).toBe(EPERM);
    }
    expect(await client.error({ command: FLUSH })).toBe(0);
    expect(await client.read(0, 3)).toEqual(new Uint8Array([1, 2, 3]));
  });

  it('are done beside each other, and each is answered', async () => {
    const { client } = await served({}, form);
    const all = Array.from({ length: 200 }, (_, index) => index + 1);
    for (const cookie of all) {
      await client.request({ command: WRITE, cookie, offset: cookie * 1000, data: new Uint8Array(1000).fill(cookie) });
    }
    const answered = new Set<number>();
    for (let count = 0; count < all.length; count++) answered.add((await client.reply()).cookie);
    expect([...answered].sort((a, b) => a - b)).toEqual(all);
    for (const cookie of all) {
      expect(await client.read(cookie * 1000, 1000)).toEqual(new Uint8Array(1000).fill(cookie));
    }
  });

  it('end with a goodbye, when all is answered', async () => {
    const { client } = await served({}, form);
    await client.request({ command: WRITE, cookie: 3, offset: 0, data: new Uint8Array(3000000) });
    await client.request({ command: DISCONNECT });
    expect(await client.reply()).toMatchObject({ cookie: 3, error: 0 });
    expect(await client.isOver()).toBe(true);
  });
});

describe('structured replies', () => {
  it('have holes in the place of zeroes, but for reads in one piece', async () => {
    const machine = new ServedMachine();
    await machine.library.createImage({ filename: 'q', format: 'qcow2', size: SIZE });
    await machine.serve({ image: 'q', writable: true });
    const sparse = await machine.client();
    await sparse.go();
    await sparse.do({ command: WRITE, offset: 1 << 20, data: new Uint8Array(65536).fill(7) });
    const chunks = await sparse.do({ command: READ, offset: 1000000, length: 1000000 });
    expect(chunks.map(({ type }) => type)).toEqual([2, 1, 2]);
    expect(
      (await sparse.do({ command: READ, flags: DF, offset: 1000000, length: 1000000 })).map(({ type }) => type),
    ).toEqual([1]);
    const long = await sparse.do({ command: READ, flags: DF, offset: 0, length: SIZE });
    expect(long.map(({ type, data }) => [type, data.length])).toEqual([
      [1, SIZE + 8],
      [0, 0],
    ]);
    expect(await sparse.read((1 << 20) - 1, 3)).toEqual(new Uint8Array([0, 7, 7]));
  });

  it('say in words what is wrong', async () => {
    const { client } = await served();
    const [chunk] = await client.do({ command: READ, offset: SIZE, length: 1 });
    expect(new TextDecoder().decode(chunk?.data.subarray(6))).toContain('beyond the end');
  });

  it('refuse quick zeroes where zeroes are not recorded', async () => {
    const { client, flags } = await served();
    const known = (flags & 0x800) !== 0;
    expect(await client.error({ command: ZERO, flags: FAST, offset: 0, length: 512 })).toBe(known ? 0 : ENOTSUP);
    const machine = new ServedMachine();
    await machine.library.createImage({ filename: 'v', format: 'vdi', size: SIZE });
    await machine.serve({ image: 'v', writable: true });
    const other = await machine.client();
    const canDo = ((await other.go()).flags & 0x800) !== 0;
    expect(await other.error({ command: ZERO, flags: FAST, offset: 0, length: 512 })).toBe(canDo ? 0 : ENOTSUP);
  });
});

describe.each(['structured', 'extended'] as const)('block states with %s replies', (form) => {
  async function states(client: NbdClient, offset: number, length: number, flags = 0): Promise<unknown> {
    const chunks = await client.do({ command: STATES, flags, offset, length });
    return chunks.map(({ type, data }) => {
      const view = new DataView(data.buffer);
      const [head, each] = form === 'extended' ? [8, 16] : [4, 8];
      expect(type).toBe(form === 'extended' ? 6 : 5);
      const runs: (readonly [number, number])[] = [];
      for (let at = head; at < data.length; at += each) {
        if (form === 'extended') runs.push([Number(view.getBigUint64(at)), Number(view.getBigUint64(at + 8))]);
        else runs.push([view.getUint32(at), view.getUint32(at + 4)]);
      }
      return [view.getUint32(0), ...runs];
    });
  }

  it('tell of holes, zeroes, depths and dirty blocks', async () => {
    const machine = new ServedMachine({ implicitOpen: 'allow' });
    const { library } = machine;
    await library.createImage({ filename: 'base', format: 'qcow2', size: 1 << 20 });
    const base = await library.openImage('base', { writable: true });
    await base.write(65536, new Uint8Array(65536).fill(1));
    await base.close();
    await library.createImage({ filename: 'top', format: 'qcow2', backing: { filename: 'base', format: 'qcow2' } });
    await library.bitmap({ image: 'top', actions: [{ kind: 'add' }], bitmap: 'b', granularity: 65536 });
    await machine.serve({ image: 'top', writable: true, bitmaps: 'all', allocationDepth: true });
    const client = await machine.client();
    const contexts = ['base:allocation', 'qemu:allocation-depth', 'qemu:dirty-bitmap:b'];
    await client.go('', form, ...contexts);
    const KiB = 1024;
    expect(await states(client, 0, 1 << 20)).toEqual([
      [0, [64 * KiB, 3], [64 * KiB, 0], [896 * KiB, 3]],
      [1, [64 * KiB, 0], [64 * KiB, 2], [896 * KiB, 0]],
      [2, [1024 * KiB, 0]],
    ]);
    await client.do({ command: WRITE, offset: 128 * KiB, data: new Uint8Array(1000).fill(3) });
    await client.do({ command: ZERO, offset: 512 * KiB, length: 64 * KiB });
    expect(await states(client, 64 * KiB, 960 * KiB)).toEqual([
      [0, [128 * KiB, 0], [832 * KiB, 3]],
      [1, [64 * KiB, 2], [64 * KiB, 1], [320 * KiB, 0], [64 * KiB, 1], [448 * KiB, 0]],
      [2, [64 * KiB, 0], [64 * KiB, 1], [320 * KiB, 0], [64 * KiB, 1], [448 * KiB, 0]],
    ]);
    expect(await states(client, 64 * KiB, 960 * KiB, ONE)).toEqual([
      [0, [128 * KiB, 0]],
      [1, [64 * KiB, 2]],
      [2, [64 * KiB, 0]],
    ]);
    expect(await states(client, 130 * KiB, 1)).toEqual([
      [0, [1, 0]],
      [1, [1, 1]],
      [2, [1, 1]],
    ]);
    // Backwards, which a bitmap is not read in.
    expect(await states(client, 0, 130 * KiB)).toEqual([
      [0, [64 * KiB, 3], [66 * KiB, 0]],
      [1, [64 * KiB, 0], [64 * KiB, 2], [2 * KiB, 1]],
      [2, [128 * KiB, 0], [2 * KiB, 1]],
    ]);
  });

  it('are told to those who chose them for that export only', async () => {
    const machine = new ServedMachine();
    machine.put('a', new Uint8Array(512));
    machine.put('b', new Uint8Array(512));
    await machine.serve({
      exports: [
        { image: 'a', name: 'a' },
        { image: 'b', name: 'b' },
      ],
    });
    const client = await machine.client();
    await client.greet();
    await client.option(form === 'extended' ? 11 : 8);
    client.form = form;
    await client.option(10, contextData('a', 'base:allocation'));
    await client.option(7, goData('b'));
    expect(await client.error({ command: STATES, offset: 0, length: 512 })).toBe(EINVAL);
  });
});
