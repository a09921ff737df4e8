/** Servers that hang up, at every byte of what they have to say, and servers that never stop talking. */
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import type { ProtocolContext } from '../../../../src/block/protocol.ts';
import { nbdDriver } from '../../../../src/protocols/nbd/driver.ts';
import { NbdServer, packed, type Script } from '../../../support/nbdServer.ts';

/** Opens an export and does one of everything; the result is what was read. */
async function session(server: NbdServer): Promise<number> {
  const services = {
    net: server,
    objects: new Map(),
    now: () => ({ seconds: 0, nanoseconds: 0 }),
    wait: () => Promise.reject(new Error('nobody waits here')),
  };
  const options = { path: 's.sock' };
  const context = { writable: true, discard: 'unmap', services, given: options } as unknown as ProtocolContext;
  const storage = await nbdDriver.open(context, options);
  try {
    const bytes = new Uint8Array(64).fill(7);
    await storage.write(512, bytes);
    await storage.writeZeroes(520, 8, {});
    await storage.status(0, 4096);
    await storage.read(512, bytes);
    await storage.flush();
    return bytes.reduce((sum, byte) => sum + byte, 0);
  } finally {
    await storage.close();
  }
}

const old: Script = {
  all: (peer) => {
    peer.send(new TextEncoder().encode('NBDMAGIC'), [8, 0x420281861253n], [8, 4096], [4, 0x5], new Uint8Array(124));
    peer.end();
  },
};

describe.each<[string, Script]>([
  ['simple replies', { form: 'simple' }],
  ['structured replies', { form: 'structured' }],
  ['extended replies', { form: 'extended' }],
  ['blocks', { form: 'structured', blockSizes: [512, 4096, 65536] }],
  ['an old handshake', old],
])('a server with %s', (_, script) => {
  it('that hangs up anywhere is said to have done so in one line', async () => {
    const whole = new NbdServer(script);
    const good = await session(whole).catch(() => 0);
    const total = whole.peers[0]?.sent ?? 0;
    expect(total).toBeGreaterThan(100);
    for (let cut = 0; cut < total; cut++) {
      const server = new NbdServer({ ...script, cut });
      const connection = await server.connect();
      // There is no second one.
      server.connect = () =>
        server.peers[0]?.closed === true ? Promise.reject(new BlockError('io', 'gone')) : Promise.resolve(connection);
      const failure = await session(server).catch((thrown: unknown) => thrown);
      expect(failure, `cut at ${cut}`).toBeInstanceOf(BlockError);
      const { message } = failure as BlockError;
      expect(message, `cut at ${cut}`).toMatch(/^[^\n]*(Unexpected end-of-file|Input\/output error)[^\n]*$/);
      expect(server.peers[0]?.closed, `cut at ${cut}`).toBe(true);
    }
    // It lost nothing but its last words.
    expect(script === old || good === 56 * 7).toBe(true);
  });
});

/** Chunks of one kind and nothing else as the answer to a read. */
const endless = (type: number, data: Uint8Array): Script => ({
  request: (peer, { command, cookie }) => {
    if (command !== 0) return false;
    const one = packed([4, 0x668e33ef], [2, 0], [2, type], [8, cookie], [4, data.length], data);
    const all = new Uint8Array(one.length * 65537);
    for (let at = 0; at < all.length; at += one.length) all.set(one, at);
    peer.send(all);
    return true;
  },
});

describe('a server that never stops', () => {
  const failureOf = async (script: Script): Promise<BlockError> => {
    const failure = await session(new NbdServer(script)).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(BlockError);
    return failure as BlockError;
  };

  it.each<[string, Script, string]>([
    [
      'to inform of something of 4 GiB',
      {
        option: (peer, option) => {
          if (option !== 7) return false;
          peer.send([8, 0x3e889045565a9n], [4, 7], [4, 3], [4, 0xffffffff], [2, 99]);
          for (let index = 0; index < 66; index++) peer.send(new Uint8Array(1 << 20));
          return true;
        },
      },
      'Failed to read info: the server talks too much',
    ],
    ['to excuse itself', endless(0x8001, packed([4, 5], [2, 0])), 'NBD: answer without an end'],
    ['to repeat one byte', endless(1, packed([8, 513], [1, 1])), 'NBD: answer without an end'],
  ])('%s is hung up on', async (_, script, said) => {
    expect((await failureOf(script)).message).toBe(said);
  });
});
