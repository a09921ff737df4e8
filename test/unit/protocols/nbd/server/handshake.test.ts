import { describe, expect, it } from 'vitest';
import type { ServeRequest } from '../../../../../src/operations/requests.ts';
import { contextData, goData, named, type NbdClient } from '../../../../support/nbdClient.ts';
import { packed } from '../../../../support/nbdServer.ts';
import { ServedMachine } from '../../../../support/servedImages.ts';

const [ACK, INFO] = [1, 3];
const [UNSUPPORTED, POLICY, INVALID, UNKNOWN] = [0x80000001, 0x80000002, 0x80000003, 0x80000006];
const EXTENDED_REQUIRED = 0x8000000a;

async function served(request: ServeRequest = { image: 'a' }): Promise<ServedMachine> {
  const machine = new ServedMachine();
  machine.put('a', new Uint8Array(65536).fill(1));
  machine.put('b', new Uint8Array(1024).fill(2));
  await machine.serve(request);
  return machine;
}

async function greeted(request?: ServeRequest): Promise<NbdClient> {
  const client = await (await served(request)).client();
  await client.greet();
  return client;
}

/** The types of the replies to an option. */
async function types(client: NbdClient, option: number, data?: Uint8Array): Promise<readonly number[]> {
  return (await client.option(option, data)).map(({ type }) => type);
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const TWO: ServeRequest = {
  exports: [
    { image: { filename: 'a', format: 'raw' }, name: 'first', description: 'the first one' },
    { image: { filename: 'b', format: 'raw' }, name: 'second' },
  ],
};

describe('the handshake', () => {
  it('lists exports with their descriptions', async () => {
    const client = await greeted(TWO);
    const replies = await client.option(3);
    expect(replies.map(({ type }) => type)).toEqual([2, 2, ACK]);
    expect(replies.slice(0, 2).map(({ data }) => text(data.subarray(4)))).toEqual(['firstthe first one', 'second']);
  });

  it('tells of an export without choosing it', async () => {
    const client = await greeted(TWO);
    const replies = await client.option(6, goData('first', 1, 2, 3));
    expect(replies.map(({ type }) => type)).toEqual([INFO, INFO, INFO, INFO, ACK]);
    expect(replies.slice(0, 2).map(({ data }) => text(data.subarray(2)))).toEqual(['first', 'the first one']);
    expect([...(replies[2]?.data ?? [])]).toEqual([...packed([2, 3], [4, 1], [4, 4096], [4, 33554432])]);
    expect([...(replies[3]?.data ?? [])].slice(0, 10)).toEqual([...packed([2, 0], [8, 65536])]);
    // It is not in transmission yet.
    expect(await types(client, 7, goData('second'))).toEqual([INFO, INFO, ACK]);
    client.form = 'simple';
    expect(await client.read(0, 2)).toEqual(new Uint8Array([2, 2]));
  });

  it.each([
    [0, 124],
    [1, 124],
    [2, 0],
    [3, 0],
  ])('serves clients that know only names, with flags %i', async (flags, zeroes) => {
    const client = await (await served(TWO)).client();
    await client.greet(flags);
    await client.ask(1, new TextEncoder().encode('second'));
    const answer = await client.receive(10 + zeroes);
    expect(new DataView(answer.buffer).getBigUint64(0)).toBe(1024n);
    expect(answer.subarray(10)).toEqual(new Uint8Array(zeroes));
    expect(await client.read(0, 2)).toEqual(new Uint8Array([2, 2]));
  });

  it('hangs up on clients that know only names, and the wrong ones', async () => {
    const client = await greeted(TWO);
    await client.ask(1, new TextEncoder().encode('third'));
    expect(await client.isOver()).toBe(true);
  });

  it('refuses exports that are not there', async () => {
    const client = await greeted(TWO);
    for (const option of [6, 7]) expect(await types(client, option, goData(''))).toEqual([UNKNOWN]);
    await client.option(8);
    for (const option of [9, 10]) expect(await types(client, option, contextData('x'))).toEqual([UNKNOWN]);
  });

  it('says goodbye', async () => {
    const client = await greeted();
    expect(await types(client, 2)).toEqual([ACK]);
    expect(await client.isOver()).toBe(true);
  });

  it('agrees on the form of replies once, and only upwards', async () => {
    const client = await greeted();
    expect(await types(client, 8)).toEqual([ACK]);
    expect(await types(client, 8)).toEqual([INVALID]);
    expect(await types(client, 11)).toEqual([ACK]);
    expect(await types(client, 11)).toEqual([INVALID]);
    expect(await types(client, 8)).toEqual([EXTENDED_REQUIRED]);
  });

  it('does not know what nobody knows', async () => {
    const client = await greeted();
    expect(await types(client, 77, new Uint8Array(1000))).toEqual([UNSUPPORTED]);
    expect(await types(client, 5)).toEqual([POLICY]);
  });

  it.each([
    ['data where there are none', 3, new Uint8Array(1)],
    ['data where there are none', 8, new Uint8Array(1)],
    ['data where there are none', 5, new Uint8Array(1)],
    ['no name', 7, new Uint8Array(2)],
    ['a name that is too short', 7, packed([4, 10], new Uint8Array(4))],
    ['a name that is too long', 7, packed([4, 5000], new Uint8Array(5000), [2, 0])],
    ['too few infos', 7, packed(named(''), [2, 3], [2, 1])],
    ['too many infos', 6, packed(named(''), [2, 1], [2, 1], [2, 1])],
    ['no number of queries', 10, named('')],
    ['fewer queries than said', 10, packed(named(''), [4, 3], named('base:allocation'))],
    ['a wild number of queries', 9, packed(named(''), [4, 0xffffffff])],
    ['more than the queries', 9, packed(named(''), [4, 0], [4, 0])],
  ])('refuses %s, and goes on', async (_, option, data) => {
    const client = await greeted();
    if (option > 8) await client.option(8);
    expect(await types(client, option, data)).toEqual([INVALID]);
    expect(await types(client, 7, goData(''))).toEqual([INFO, INFO, ACK]);
  });

  it('chooses and lists contexts of block states', async () => {
    const client = await greeted({ image: 'a', allocationDepth: true });
    expect(await types(client, 10, contextData('', 'base:allocation'))).toEqual([INVALID]);
    await client.option(8);
    const names = async (option: number, ...queries: readonly string[]): Promise<readonly string[]> =>
      (await client.option(option, contextData('', ...queries)))
        .filter(({ type }) => type === 4)
        .map(({ data }) => `${new DataView(data.buffer).getUint32(0)} ${text(data.subarray(4))}`);
    expect(await names(9)).toEqual(['0 base:allocation', '0 qemu:allocation-depth']);
    expect(await names(9, 'qemu:')).toEqual(['0 qemu:allocation-depth']);
    expect(await names(9, 'base:allocation', 'x:y')).toEqual(['0 base:allocation']);
    expect(await names(10)).toEqual([]);
    expect(await names(10, 'base:')).toEqual([]);
    expect(await names(10, 'qemu:allocation-depth', 'nothing:such')).toEqual(['1 qemu:allocation-depth']);
  });

  it.each([
    ['that do not speak', ''],
    ['of the web', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['with flags that nobody knows', '\xff\xff\xff\xff'],
    ['with random bytes', '\0\0\0\x03IHAVENOTHING AT ALL BUT WORDS, and more and more of them'],
    ['with an option that never ends', '\0\0\0\x03IHAVEOPT\0\0\0\x03\xff\xff\xff\xff'],
  ])('hangs up on clients %s', async (_, words) => {
    const machine = await served();
    const client = await machine.client();
    await client.receive(18);
    await client.send(Uint8Array.from(words, (letter) => letter.charCodeAt(0)));
    if (words === '') client.connection.close();
    expect(await client.isOver()).toBe(true);
    // Others are served meanwhile.
    expect((await (await machine.client()).go()).size).toBe(65536);
  });

  it('hangs up on clients that take too long, but not on those that have chosen', async () => {
    const other = new ServedMachine();
    other.put('a', new Uint8Array(512));
    const server = await other.serve({ image: 'a', handshakeLimit: 1 });
    const [slow, quick] = [await other.client(), await other.client()];
    await quick.go();
    await slow.greet();
    expect(await slow.isOver()).toBe(true);
    expect(await quick.read(0, 1)).toEqual(new Uint8Array(1));
    await server.close();
  });
});
