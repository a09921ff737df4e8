/** The NBD client against a server that is slow and fails now and then, beside a plain array of bytes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../src/base/error.ts';
import { openImage } from '../../src/node.ts';
import { lackOf } from '../support/needs.ts';
import { serve, stopServers } from '../support/servers.ts';
import { because } from '../support/skip.ts';

const KiB = 1024;

let directory: string;
let socket: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-nbd-'));
  socket = join(directory, 'm.sock');
});
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true, force: true });
});

const noNbdkit = lackOf(['nbdkit'], 'nbdkit');
describe.skipIf(noNbdkit !== undefined)(`nbdkit${because(noNbdkit)}`, () => {
  it('does what a plain array of bytes does, with errors, delays and retries', async () => {
    const size = 256 * KiB + 1000;
    // What the first filter fails, the client sees; what is below it is slow, and tried again.
    const filters = ['--filter=error', '--filter=delay', '--filter=retry'];
    const errors = ['error=EIO', 'error-rate=5%'];
    await serve(
      'nbdkit',
      ['-f', '-U', socket, ...filters, 'memory', `${size}`, ...errors, 'rdelay=1ms'],
      socket,
      directory,
    );
    const at = fc.nat(size - 1);
    const length = fc.oneof(fc.nat(700), fc.nat(70000));
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), at, length, fill: fc.nat(255) }),
      fc.record({
        kind: fc.constantFrom('zero' as const, 'read' as const, 'status' as const),
        at,
        length,
        fill: fc.nat(1),
      }),
    );
    const image = { driver: 'nbd', path: socket };
    const node = await openImage({ options: image }, { writable: true });
    const model = new Uint8Array(size);
    let failures = 0;
    /** Does it again until it works. */
    const stubborn = async <T>(body: () => T | Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await body();
        } catch (error) {
          if (!(error instanceof BlockError) || error.code !== 'EIO') throw error;
          failures++;
        }
      }
    };
    try {
      const property = fc.asyncProperty(
        fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 12 }),
        async (rounds) => {
          for (const round of rounds) {
            await Promise.all(
              round.map(async ({ kind, at: start, length: wanted, fill }, index) => {
                // Those of one round have parts of their own.
                const share = Math.floor(size / round.length);
                const from = index * share + (start % share);
                const bytes = Math.min(wanted, (index + 1) * share - from);
                const slice = model.subarray(from, from + bytes);
                if (kind === 'write') {
                  slice.fill(fill);
                  await stubborn(() => node.write(from, slice.slice()));
                } else if (kind === 'zero') {
                  slice.fill(0);
                  await stubborn(() => node.writeZeroes(from, bytes, { unmap: fill === 1 }));
                } else if (kind === 'read') {
                  const into = new Uint8Array(bytes).fill(0xaa);
                  await stubborn(() => node.read(from, into));
                  expect(Buffer.compare(into, slice)).toBe(0);
                } else if (bytes > 0) {
                  const extent = await stubborn(() => node.status(from, bytes));
                  if (extent.kind === 'hole')
                    expect(slice.subarray(0, extent.length).every((byte) => byte === 0)).toBe(true);
                }
              }),
            );
          }
          const all = new Uint8Array(size);
          await stubborn(() => node.read(0, all));
          expect(Buffer.compare(all, model)).toBe(0);
        },
      );
      await fc.assert(property, { numRuns: 40 });
      expect(failures).toBeGreaterThan(0);
    } finally {
      await node.close();
    }
  });
});
