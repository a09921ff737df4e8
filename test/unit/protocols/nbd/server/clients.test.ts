/** Clients that mean no good, or come to an end: others are served, and nothing grows. */
import { describe, expect, it } from 'vitest';
import { systemError } from '../../../../../src/base/posix.ts';
import { contextData, goData, NbdClient } from '../../../../support/nbdClient.ts';
import { packed } from '../../../../support/nbdServer.ts';
import { ADDRESS, ServedMachine } from '../../../../support/servedImages.ts';

const [READ, WRITE, DISCONNECT, FLUSH] = [0, 1, 2, 3];
const SHUTDOWN = 108;

const RAW = { filename: 'a', format: 'raw' } as const;

function machineOf(size: number, room?: number): ServedMachine {
  const machine = new ServedMachine({}, room);
  machine.put('a', new Uint8Array(size));
  return machine;
}

describe('a server', () => {
  it('goes on after a client that hung up at any byte of what it said', async () => {
    const machine = machineOf(4096);
    const left: (string | undefined)[] = [];
    const server = await machine.serve({
      image: RAW,
      writable: true,
      disconnected: (_, reason) => void left.push(reason),
    });
    const option = (number: number, data: Uint8Array): Uint8Array =>
      packed(new TextEncoder().encode('IHAVEOPT'), [4, number], [4, data.length], data);
    const form = new NbdClient(await machine.net.connect(ADDRESS));
    const all = packed(
      [4, 3],
      option(8, new Uint8Array()),
      option(10, contextData('', 'base:allocation')),
      option(7, goData('', 3)),
      form.bytesOf({ command: WRITE, offset: 512, data: new Uint8Array(64).fill(9) }),
      form.bytesOf({ command: READ, offset: 0, length: 4096 }),
      form.bytesOf({ command: 7, offset: 0, length: 4096 }),
      form.bytesOf({ command: 4, offset: 1024, length: 512 }),
      form.bytesOf({ command: FLUSH }),
      form.bytesOf({ command: DISCONNECT }),
    );
    for (let cut = 0; cut <= all.length; cut++) {
      const client = await machine.client();
      await client.send(all.subarray(0, cut));
      client.connection.outgoing.end();
    }
    const client = await machine.client();
    await client.go();
    expect(await client.read(512, 1)).toEqual(new Uint8Array([9]));
    await server.close();
    // All that have chosen the export were clients, and each has gone.
    expect(left.length).toBeGreaterThan(150);
  });

  it('keeps what was begun in mind when the client is gone', async () => {
    const machine = machineOf(1 << 20);
    const server = await machine.serve({ image: RAW, writable: true });
    const client = await machine.client();
    await client.go();
    await client.request({ command: WRITE, offset: 0, data: new Uint8Array(65536).fill(1) });
    client.connection.close();
    await server.close();
    expect(machine.files.bytes('a')[65535]).toBe(1);
  });

  it('does not read what nobody takes', async () => {
    const machine = machineOf(64 << 20, 1 << 20);
    await machine.serve({ image: RAW });
    const client = await machine.client();
    await client.go();
    const ask = client.bytesOf({ command: READ, offset: 0, length: 32 << 20 });
    for (let stuck = false; !stuck; ) {
      const done = client.connection.write([ask]);
      stuck = await Promise.race([
        done.then(() => false),
        new Promise<true>((resolve) => setTimeout(resolve, 300, true)),
      ]);
    }
    // 32 MiB each, 16 of which may be under way: what is on its way to the client is bounded all the same.
    expect(client.connection.incoming.held).toBeLessThan(18 << 20);
    // Others do not suffer.
    const other = await machine.client();
    await other.go();
    expect((await other.read(0, 3 << 20)).length).toBe(3 << 20);
    client.connection.close();
    expect((await other.read(0, 3 << 20)).length).toBe(3 << 20);
  });

  it('serves many who take nothing, and one more', async () => {
    const machine = machineOf(8 << 20);
    const server = await machine.serve({ image: RAW });
    for (let index = 0; index < 200; index++) {
      const client = await machine.client();
      await client.go();
      for (let count = 0; count < 4; count++) await client.request({ command: READ, offset: 0, length: 2 << 20 });
    }
    const one = await machine.client();
    await one.go();
    expect((await one.read(0, 4 << 20)).length).toBe(4 << 20);
    await server.close();
  });

  it('takes so many at a time as it is told', async () => {
    const machine = machineOf(512);
    const server = await machine.serve({ image: RAW, shared: 1 });
    const first = await machine.client();
    expect((await first.go()).flags & 0x100).toBe(0);
    const second = await machine.client();
    const greeted = second.go();
    await first.request({ command: DISCONNECT });
    expect((await greeted).size).toBe(512);
    await server.close();
  });

  it('ends with the last client, but not with one that only looked', async () => {
    const machine = machineOf(512);
    const server = await machine.serve({ image: RAW, persistent: false });
    const looking = await machine.client();
    await looking.greet();
    await looking.option(3);
    await looking.option(2);
    const [first, second] = [await machine.client(), await machine.client()];
    await first.go();
    await second.go();
    await first.request({ command: DISCONNECT });
    expect(await first.isOver()).toBe(true);
    expect(await second.read(0, 1)).toEqual(new Uint8Array(1));
    second.connection.close();
    await server.done;
    await expect(machine.client()).rejects.toThrow('Failed to connect');
  });

  it('ends when it is told to, with everything answered', async () => {
    const machine = machineOf(1 << 20);
    const server = await machine.serve({ image: RAW, writable: true });
    const client = await machine.client();
    await client.go();
    for (let cookie = 1; cookie <= 20; cookie++) {
      await client.request({ command: WRITE, cookie, offset: cookie * 512, data: new Uint8Array(512).fill(cookie) });
    }
    const closed = server.close();
    const replies = new Map<number, number>();
    try {
      for (;;) {
        const { cookie, error } = await client.reply();
        replies.set(cookie, error);
      }
    } catch {
      // Hung up.
    }
    await closed;
    const bytes = machine.files.bytes('a');
    for (const [cookie, error] of replies) {
      if (error === 0) expect(bytes[cookie * 512]).toBe(cookie);
      else expect(error).toBe(SHUTDOWN);
    }
  });

  it('ends by the signal of its caller', async () => {
    const stop = new AbortController();
    const machine = new ServedMachine({ signal: stop.signal });
    machine.put('a', new Uint8Array(512));
    const server = await machine.serve({ image: RAW });
    const client = await machine.client();
    await client.go();
    stop.abort();
    await server.done;
    expect(await client.isOver()).toBe(true);
  });

  it('fails with what its observers throw', async () => {
    const machine = machineOf(512);
    const server = await machine.serve({
      image: RAW,
      connected: () => {
        throw new Error('an observer');
      },
    });
    const client = await machine.client();
    await client.go();
    await expect(server.done).rejects.toThrow('an observer');
  });

  it('tells of errors of the image, and of those of flushing in the end', async () => {
    const machine = machineOf(1 << 20);
    const server = await machine.serve({ image: RAW, writable: true });
    const client = await machine.client();
    await client.go();
    machine.files.inject('a', { operation: 'write', error: systemError('ENOSPC', undefined, {}) });
    expect(await client.error({ command: WRITE, offset: 0, data: new Uint8Array(512) })).toBe(28);
    machine.files.heal('a');
    expect(await client.error({ command: WRITE, offset: 0, data: new Uint8Array(512) })).toBe(0);
    machine.files.inject('a', { operation: 'read' });
    expect(await client.error({ command: READ, offset: 0, length: 512 })).toBe(5);
    expect(await client.error({ command: READ, offset: 0, length: 1 << 20 })).toBe(5);
    machine.files.heal('a');
    await server.close();
  });
});
