import { expect, it } from 'vitest';
import { portableServices } from '../../../../src/host/portable/host.ts';

it('composes services that need no platform', async () => {
  const services = portableServices();
  const bytes = new Uint8Array(32);
  services.random(bytes);
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
  const { seconds, nanoseconds } = services.now();
  expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(5);
  expect(nanoseconds >= 0 && nanoseconds < 1e9 && Number.isInteger(nanoseconds)).toBe(true);
  expect(services.zoneOffset(0) % 60).toBe(0);
  expect(() => services.secrets.get('zz')).toThrow("No secret with id 'zz'");
  await services.files.create('a', { size: 5, preallocation: 'off' });
  expect(await services.files.status('a')).toMatchObject({ kind: 'file', size: 5 });
  await services.wait(0);
});

it('keeps buffers for the next one, until it is closed', async () => {
  const services = portableServices();
  const { buffers } = services;
  const buffer = buffers.acquire();
  expect(buffer.length).toBe(buffers.size);
  buffers.release(buffer);
  expect(buffers.acquire() === buffer).toBe(true);
  buffers.release(buffer);
  await services.close();
  expect(buffers.acquire() === buffer).toBe(false);
});
