import { describe, expect, it } from 'vitest';
import type { BlockError } from '../../../../src/base/error.ts';
import type { ProtocolContext, ProtocolStorage } from '../../../../src/block/protocol.ts';
import { nbdDriver } from '../../../../src/protocols/nbd/driver.ts';
import { NbdServer, packed, type Peer, type Got, type Script } from '../../../support/nbdServer.ts';

let clock = 0;

function contextOf(server: NbdServer, more: Partial<ProtocolContext> = {}): ProtocolContext {
  const services = {
    net: server,
    objects: new Map(),
    now: () => ({ seconds: Math.floor(clock / 1000), nanoseconds: (clock % 1000) * 1e6 }),
    wait: async (milliseconds: number) => {
      clock += milliseconds;
    },
  };
  return { writable: true, discard: 'unmap', ...more, services } as unknown as ProtocolContext;
}

async function opened(
  script: Script,
  options: Readonly<Record<string, string | number>> = {},
  more: Partial<ProtocolContext> = {},
): Promise<{ readonly storage: ProtocolStorage; readonly server: NbdServer }> {
  const server = new NbdServer(script);
  const all = { path: 's.sock', ...options };
  const storage = await nbdDriver.open(contextOf(server, { ...more, given: all }), all);
  return { storage, server };
}

const failure = async (body: () => unknown): Promise<BlockError> => {
  try {
    await body();
  } catch (thrown) {
    return thrown as BlockError;
  }
  throw new Error('nothing was thrown');
};

describe.each(['simple', 'structured', 'extended'] as const)('with %s replies', (form) => {
  it('reads, writes and writes zeroes', async () => {
    const { storage, server } = await opened({ form });
    await storage.write(1000, new Uint8Array([1, 2, 3]));
    await storage.writeZeroes(1001, 1, { unmap: true });
    const bytes = new Uint8Array(5);
    await storage.read(999, bytes);
    expect([...bytes]).toEqual([0, 1, 0, 3, 0]);
    await storage.flush();
    await storage.discard(0, 512);
    await storage.close();
    await expect.poll(() => server.requests.length).toBe(6);
    const fields = server.requests.map(({ command, flags, offset, length }) => [command, flags, offset, length]);
    // Only where lengths can mean either does a write say which it is.
    expect(fields).toEqual([
      [1, form === 'extended' ? 0x20 : 0, 1000, 3],
      [6, 0, 1001, 1],
      [0, 0, 999, 5],
      [3, 0, 0, 0],
      [4, 0, 0, 512],
      [2, 0, 0, 0],
    ]);
  });

  it('takes answers in any order', async () => {
    const waiting: (() => void)[] = [];
    const { storage, server } = await opened({
      form,
      request: (peer: Peer, got: Got) => {
        if (got.command !== 0) return false;
        waiting.push(() => server.answer(peer, got));
        if (waiting.length === 3) for (const answer of waiting.toReversed()) answer();
        return true;
      },
    });
    server.bytes.fill(1, 0, 512).fill(2, 512, 1024).fill(3, 1024, 1536);
    const buffers = [0, 1, 2].map(() => new Uint8Array(512));
    await Promise.all(buffers.map(async (into, index) => storage.read(index * 512, into)));
    expect(buffers.map(([first, ...rest]) => [first, rest.every((byte) => byte === first)])).toEqual([
      [1, true],
      [2, true],
      [3, true],
    ]);
  });

  it('says what the server says of a request, and goes on', async () => {
    let broken = true;
    const { storage, server } = await opened({
      form,
      request: (peer, { command, cookie }) => {
        if (command !== 0 || !broken) return false;
        broken = false;
        if (form === 'simple') peer.simple(cookie, 28);
        else peer.chunk(cookie, 0x8001, packed([4, 28], [2, 4], new TextEncoder().encode('full')));
        return true;
      },
    });
    server.bytes.fill(5);
    const into = new Uint8Array(16);
    expect(await failure(() => storage.read(0, into))).toMatchObject({ code: 'ENOSPC' });
    await storage.read(0, into);
    expect(into[0]).toBe(5);
  });
});

describe('structured reads', () => {
  const chunks = (...make: readonly ((peer: Peer, got: Got) => void)[]): Script => ({
    request: (peer, got) => {
      if (got.command !== 0) return false;
      for (const one of make) one(peer, got);
      return true;
    },
  });

  it('come in pieces, in any order, with holes', async () => {
    const { storage } = await opened(
      chunks(
        (peer, { cookie }) => peer.chunk(cookie, 1, packed([8, 12], new Uint8Array([7, 7, 7, 7])), false),
        (peer, { cookie }) => peer.chunk(cookie, 2, packed([8, 4], [4, 8]), false),
        (peer, { cookie }) => peer.chunk(cookie, 1, packed([8, 0], new Uint8Array([1, 2, 3, 4])), false),
        (peer, { cookie }) => peer.chunk(cookie, 0, new Uint8Array()),
      ),
    );
    const into = new Uint8Array(16).fill(9);
    await storage.read(0, into);
    expect([...into]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7]);
  });

  const data = (offset: number, length: number) => packed([8, offset], new Uint8Array(length));
  it.each<[string, (peer: Peer, got: Got) => void]>([
    ['nothing at all', (peer, { cookie }) => peer.chunk(cookie, 0, new Uint8Array())],
    ['too little', (peer, { cookie }) => peer.chunk(cookie, 1, data(0, 15))],
    ['a gap', (peer, { cookie }) => (peer.chunk(cookie, 1, data(0, 4), false), peer.chunk(cookie, 1, data(8, 8)))],
    [
      'the same part twice',
      (peer, { cookie }) => (peer.chunk(cookie, 1, data(0, 8), false), peer.chunk(cookie, 1, data(0, 8))),
    ],
    ['more than was asked for', (peer, { cookie }) => peer.chunk(cookie, 1, data(0, 17))],
    ['what is in front', (peer, { cookie }) => peer.chunk(cookie, 1, packed([8, 2n ** 64n - 1n], new Uint8Array(16)))],
    ['data without data', (peer, { cookie }) => peer.chunk(cookie, 1, data(0, 0))],
    ['a hole of nothing', (peer, { cookie }) => peer.chunk(cookie, 2, packed([8, 0], [4, 0]))],
    ['a hole that is too long', (peer, { cookie }) => peer.chunk(cookie, 2, packed([8, 0], [4, 17]))],
    ['a hole with more', (peer, { cookie }) => peer.chunk(cookie, 2, packed([8, 0], [4, 16], [1, 0]))],
    ['4 GiB', (peer, { cookie }) => peer.chunk(cookie, 1, data(0, 1), true, 0xffffffff)],
    ['block states', (peer, { cookie }) => peer.chunk(cookie, 5, packed([4, 7], [4, 16], [4, 0]))],
    ['an unknown chunk', (peer, { cookie }) => peer.chunk(cookie, 77, new Uint8Array())],
    ['an unfinished end', (peer, { cookie }) => peer.chunk(cookie, 0, new Uint8Array(), false)],
    ['an end with more', (peer, { cookie }) => peer.chunk(cookie, 0, new Uint8Array(2))],
    ['an error that is none', (peer, { cookie }) => peer.chunk(cookie, 0x8001, packed([4, 0], [2, 0]))],
    ['an error that is cut', (peer, { cookie }) => peer.chunk(cookie, 0x8001, packed([4, 5]))],
    ['an error with too long a text', (peer, { cookie }) => peer.chunk(cookie, 0x8001, packed([4, 5], [2, 9]))],
    ['a simple reply', (peer, { cookie }) => peer.simple(cookie, 0, new Uint8Array(16))],
  ])('that answer with %s fail', async (_, answer) => {
    const { storage } = await opened(chunks(answer));
    expect(await failure(() => storage.read(0, new Uint8Array(16)))).toMatchObject({ code: 'EINVAL' });
  });

  it.each<[string, (peer: Peer, got: Got) => void]>([
    ['garbage', (peer) => peer.send(new Uint8Array(64).fill(0x41))],
    ['a request that nobody made', (peer, { cookie }) => peer.chunk(cookie + 9n, 0, new Uint8Array())],
    ['silence and the end', (peer) => peer.end()],
    ['half an answer and the end', (peer, { cookie }) => (peer.chunk(cookie, 1, data(0, 8), true, 24), peer.end())],
  ])('that answer with %s end the connection', async (_, answer) => {
    const { storage, server } = await opened(chunks(answer));
    const [first, second] = await Promise.all([
      failure(() => storage.read(0, new Uint8Array(16))),
      failure(() => storage.read(16, new Uint8Array(16))),
    ]);
    expect([first.code, second.code]).toEqual(['EIO', 'EIO']);
    expect(server.peers[0]?.closed).toBe(true);
  });
});

describe('block states', () => {
  const states = (form: 'structured' | 'extended', chunk: (got: Got) => [type: number, data: Uint8Array]): Script => ({
    form,
    request: (peer, got) => {
      if (got.command !== 7) return false;
      peer.chunk(got.cookie, ...chunk(got));
      return true;
    },
  });

  it('are asked for once for many runs, and again after a change', async () => {
    const { storage, server } = await opened(
      states('structured', () => [
        5,
        packed([4, 7], [4, 512], [4, 0], [4, 512], [4, 3], [4, 512], [4, 1], [4, 64000], [4, 2]),
      ]),
    );
    const at = async (offset: number) => storage.status(offset, 4096);
    expect(await at(0)).toEqual({ length: 512, kind: 'data' });
    expect(await at(600)).toEqual({ length: 424, kind: 'hole' });
    expect(await at(1024)).toEqual({ length: 512, kind: 'data', absent: true });
    expect(await at(1536)).toEqual({ length: 4096, kind: 'data', zeroes: true });
    expect(await at(0)).toEqual({ length: 512, kind: 'data' });
    expect(server.requests).toHaveLength(1);
    await storage.write(0, new Uint8Array(512));
    await at(0);
    expect(server.requests.map(({ command }) => command)).toEqual([7, 1, 7]);
  });

  it('may have 64 bits', async () => {
    const { storage } = await opened(
      states('extended', ({ length }) => [6, packed([4, 7], [4, 1], [8, length], [8, 3])]),
    );
    expect(await storage.status(0, 65536)).toEqual({ length: 65536, kind: 'hole' });
  });

  it.each<[string, [number, Uint8Array], string]>([
    ['nothing', [0, new Uint8Array()], 'EIO'],
    ['no length', [5, packed([4, 7], [4, 0], [4, 0])], 'EINVAL'],
    ['another context', [5, packed([4, 9], [4, 512], [4, 0])], 'EINVAL'],
    ['half a run', [5, packed([4, 7], [4, 512])], 'EINVAL'],
    ['an error', [0x8001, packed([4, 12], [2, 0])], 'ENOMEM'],
  ])('that are %s fail', async (_, answer, code) => {
    const { storage } = await opened(states('structured', () => answer));
    expect(await failure(() => storage.status(0, 512))).toMatchObject({ code });
  });

  it('end at the end', async () => {
    const { storage } = await opened({ size: 1000 });
    expect(await storage.status(1000, 24)).toEqual({ length: 24, kind: 'hole', absent: true });
  });
});

describe('sizes of blocks', () => {
  const blockSizes = [512, 4096, 8192] as const;

  it('are kept to', async () => {
    const { storage, server } = await opened({ blockSizes });
    expect(storage.limits).toMatchObject({ requestAlignment: 512, optimalTransfer: 4096, maxTransfer: 8192 });
    server.bytes.fill(9);
    await Promise.all([storage.write(700, new Uint8Array(10)), storage.write(720, new Uint8Array(10).fill(1))]);
    const into = new Uint8Array(20000);
    await storage.read(100, into);
    expect([into[599], into[600], into[609], into[610], into[620], into[629], into[630]]).toEqual([
      9, 0, 0, 9, 1, 1, 9,
    ]);
    await storage.writeZeroes(512, 512);
    await storage.writeZeroes(1, 3);
    await storage.discard(500, 1000);
    for (const { command, offset, length } of server.requests) {
      expect([command, offset % 512, length % 512, length <= 8192]).toEqual([command, 0, 0, true]);
    }
    expect([...server.bytes.subarray(0, 5)]).toEqual([9, 0, 0, 0, 9]);
  });

  it('of servers without any are those of the specification', async () => {
    const { storage } = await opened({ form: 'extended' });
    expect(storage.limits).toEqual({
      requestAlignment: 1,
      minMemoryAlignment: 512,
      quickTransfer: 1048576,
      maxTransfer: 33554432,
      optimalMemoryAlignment: 4096,
      maxIov: 1024,
    });
  });
});

describe('what was written is made safe', () => {
  it('at once with writethrough, if the server can do that with the write', async () => {
    const { storage, server } = await opened({}, {}, { cache: 'writethrough' });
    await storage.write(0, new Uint8Array(512));
    expect(server.requests.map(({ command, flags }) => [command, flags])).toEqual([[1, 1]]);
  });

  it('by a flush where it cannot', async () => {
    const { storage, server } = await opened({ flags: 0x1 | 0x4 }, {}, { cache: 'directsync' });
    await storage.write(0, new Uint8Array(512));
    expect(server.requests.map(({ command, flags }) => [command, flags])).toEqual([
      [1, 0],
      [3, 0],
    ]);
  });

  it('also with unsafe: a server that cannot keep what it got says so then', async () => {
    const { storage } = await opened(
      {
        request: (peer, { command, cookie }) => {
          if (command === 3) peer.chunk(cookie, 0x8001, packed([4, 5], [2, 0]));
          return command === 3;
        },
      },
      {},
      { cache: 'unsafe' },
    );
    await storage.write(0, new Uint8Array(512));
    await expect(storage.flush()).rejects.toThrow('Input/output error');
  });

  it('but nobody asks for what the server does not have', async () => {
    const poor = await opened({ flags: 0x1 });
    await poor.storage.flush();
    await poor.storage.discard(0, 512);
    await poor.storage.writeZeroes(0, 512);
    expect(poor.server.requests.map(({ command }) => command)).toEqual([1]);
  });
});

describe('block states that do not serve', () => {
  it('are forgotten when they were asked for before a change that is done before they come', async () => {
    let answer = (): void => undefined;
    let asked = 0;
    const { storage } = await opened({
      request: (peer, { command, cookie, length }) => {
        if (command !== 7) return false;
        const states = packed([4, 7], [4, length], [4, asked++ === 0 ? 3 : 0]);
        answer = () => peer.chunk(cookie, 5, states);
        if (asked > 1) answer();
        return true;
      },
    });
    const before = storage.status(0, 4096);
    await storage.write(0, new Uint8Array(512).fill(1));
    answer();
    await before;
    expect(await storage.status(0, 4096)).toMatchObject({ kind: 'data' });
  });

  it('are not asked for byte by byte', async () => {
    const { storage, server } = await opened({
      request: (peer, { command, cookie }) => {
        if (command === 7) peer.chunk(cookie, 5, packed([4, 7], [4, 1], [4, 3]));
        return command === 7;
      },
    });
    expect(await storage.status(0, 4096)).toEqual({ length: 512, kind: 'data' });
    expect(server.requests.length).toBe(1);
  });
});

describe('a connection that is lost', () => {
  const mortal = (lives: number): Script => {
    let left = lives;
    return {
      request: (peer, { command }) => {
        if (command !== 0 || left === 0) return false;
        left--;
        peer.end();
        return true;
      },
    };
  };

  it('fails what was under way; the next request makes another one', async () => {
    const { storage, server } = await opened(mortal(1));
    expect(await failure(() => storage.read(0, new Uint8Array(4)))).toMatchObject({ code: 'EIO' });
    await storage.read(0, new Uint8Array(4));
    expect(server.peers).toHaveLength(2);
  });

  it('is made again with reconnect-delay, and requests are sent again', async () => {
    const { storage, server } = await opened(mortal(2), { 'reconnect-delay': 5 });
    server.bytes.fill(3);
    const into = new Uint8Array(4);
    await Promise.all([storage.read(0, into), storage.write(100, new Uint8Array([1]))]);
    expect([into[0], server.bytes[100], server.peers.length]).toEqual([3, 1, 3]);
  });

  it('does not matter to what was answered, whatever becomes of the socket', async () => {
    const { storage, server } = await opened({}, { 'reconnect-delay': 5 });
    const connection = server.peers[0]?.connection;
    const write = connection?.write.bind(connection);
    if (!connection || !write) throw new Error('not connected');
    let answered = false;
    connection.write = async (pieces) => {
      await write(pieces);
      await expect.poll(() => answered).toBe(true);
      throw new Error('Cannot send after transport endpoint shutdown');
    };
    const written = storage.write(0, new Uint8Array(512).fill(1));
    await expect.poll(() => server.bytes[511]).toBe(1);
    answered = true;
    await written;
  });

  it('is given up after that time', async () => {
    let there = true;
    const { storage, server } = await opened(mortal(1), { 'reconnect-delay': 3 });
    server.connect = async () => {
      if (there) there = false;
      throw Object.assign(new Error('refused'));
    };
    const before = clock;
    expect(await failure(() => storage.read(0, new Uint8Array(4)))).toMatchObject({ code: 'EIO' });
    expect(clock - before).toBeGreaterThanOrEqual(2500);
    const then = clock;
    await failure(() => storage.read(0, new Uint8Array(4)));
    expect(clock - then).toBeLessThan(500);
  });

  it('is not taken for another export', async () => {
    const { storage, server } = await opened(mortal(1), { 'reconnect-delay': 3 });
    const other = new NbdServer({ size: 4096 });
    server.connect = () => other.connect();
    expect(await failure(() => storage.read(0, new Uint8Array(4)))).toMatchObject({ code: 'EIO' });
  });

  it('is waited for at the beginning with open-timeout', async () => {
    const server = new NbdServer();
    const connect = server.connect.bind(server);
    let tries = 0;
    server.connect = async () => {
      if (++tries < 5) throw new Error('refused');
      return connect();
    };
    const options = { path: 's.sock', 'open-timeout': 10 };
    const storage = await nbdDriver.open(contextOf(server, { given: options }), options);
    expect([storage.size(), tries]).toEqual([65536, 5]);
  });
});

it('servers may not be silent for ever while something is asked of them', async () => {
  const seen: number[] = [];
  const { storage, server } = await opened({
    request: (peer) => {
      seen.push(peer.patience);
      return false;
    },
  });
  const [peer] = server.peers;
  expect(peer?.patience).toBe(0);
  await storage.read(0, new Uint8Array(4));
  await storage.write(0, new Uint8Array(4));
  expect([seen, peer?.patience]).toEqual([[60000, 600000], 0]);
});

it('several connections are used where the server allows it and much is under way', async () => {
  const { storage, server } = await opened({ size: 1 << 21, flags: 0x1 | 0x100 });
  const read = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await storage.read(0, new Uint8Array(1 << 19));
  };
  await Promise.all([read(), read(), read(), read()]);
  expect(server.peers.length).toBeGreaterThan(1);
  expect(server.peers.length).toBeLessThanOrEqual(4);
  await storage.close();
});

describe('creating', () => {
  it('empties the beginning of an export that is large enough', async () => {
    const server = new NbdServer();
    server.bytes.fill(7);
    await nbdDriver.create?.(contextOf(server), 'nbd:unix:s.sock', { size: 4096 });
    expect([server.bytes[0], server.bytes[511], server.bytes[512]]).toEqual([0, 0, 7]);
  });

  it.each([
    [{ size: 65537 }, 'Cannot grow NBD nodes'],
    [{ size: 512, preallocation: 'full' }, "Unsupported preallocation mode 'full'"],
    [{ size: 512, preallocation: 'x' }, 'invalid parameter value: x'],
  ])('with %j is refused', async (options, message) => {
    const created = nbdDriver.create?.(contextOf(new NbdServer()), 'nbd:unix:s.sock', options);
    await expect(created).rejects.toMatchObject({ message });
  });

  it('is refused on an export that is read-only', async () => {
    const created = nbdDriver.create?.(contextOf(new NbdServer({ flags: 0x3 })), 'nbd:unix:s.sock', { size: 1 });
    await expect(created).rejects.toThrow('Could not open image: Permission denied');
  });
});
