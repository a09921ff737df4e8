import { expect, it } from 'vitest';
import { nodeServices } from '../../../../src/host/node/host.ts';
import { MapSecretStore } from '../../../../src/host/shared/secrets.ts';

it('composes the services of Node', async () => {
  const services = nodeServices();
  const bytes = new Uint8Array(32);
  services.random(bytes);
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
  const { seconds, nanoseconds } = services.now();
  expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(5);
  expect(nanoseconds >= 0 && nanoseconds < 1e9 && Number.isInteger(nanoseconds)).toBe(true);
  expect(services.zoneOffset(0) % 60).toBe(0);
  expect(services.buffers.acquire().length).toBe(services.buffers.size);
  const input = new Uint8Array(1000).fill(5);
  const [packed] = await services.codec.compressBatch({ method: 'deflate-raw' }, input, 1000, 1000);
  const output = new Uint8Array(1000);
  expect(await services.codec.decompress({ method: 'deflate-raw' }, packed as Uint8Array, output)).toBe(1000);
  expect(output).toEqual(input);
});

it('keeps secrets by id', () => {
  const secrets = new MapSecretStore();
  secrets.set('a', 'pässword');
  secrets.set('b', new Uint8Array([1, 2]));
  expect(Buffer.from(secrets.get('a')).toString()).toBe('pässword');
  expect([...secrets.get('b')]).toEqual([1, 2]);
  expect(() => secrets.get('zz')).toThrow("No secret with id 'zz'");
});

it('waits, until a signal says that it is enough', async () => {
  const services = nodeServices();
  await services.wait(0);
  const stop = new AbortController();
  const waiting = services.wait(1_000_000, stop.signal);
  stop.abort();
  await waiting;
  await services.wait(1_000_000, stop.signal);
});

it('gives back buffers when it is closed, and makes others when they are needed', async () => {
  const services = nodeServices();
  const buffer = services.buffers.acquire();
  services.buffers.release(buffer);
  expect(services.buffers.acquire() === buffer).toBe(true);
  services.buffers.release(buffer);
  await services.close();
  expect(services.buffers.acquire() === buffer).toBe(false);
  await services.close();
});
