/** A service that calls the library again and again: no call leaves threads, open files or buffers behind. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/**
 * Prints `[threads, descriptors, MiB of buffers, GiB of address space]` after the first calls, after all of them, and after
 * a rest. Buffers are counted when nothing holds them but what may be used again; each of their memories reserves 10 GiB.
 */
const SERVICE = `
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
const { compare, convert, createImage, info, openImage } = await import(process.argv[1]);
async function count() {
  const counts = ['task', 'fd'].map((kind) => readdirSync('/proc/self/' + kind).length);
  for (let times = 0; times < 3; times++) {
    gc();
    await setTimeout(10);
  }
  const reserved = /VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1];
  return [...counts, process.memoryUsage().external / 2 ** 20, reserved / 2 ** 20];
}
await createImage({ filename: 'a.raw', size: '1M' });
const node = await openImage({ filename: 'a.raw', format: 'raw' }, { writable: true });
await node.write(0, Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * at) >> 9));
await node.close();
const source = { filename: 'a.raw', format: 'raw' };
const key = { secrets: { key: 'secret' } };
const locked = { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key', 'encrypt.iter-time': 10 };
const image = { options: { driver: 'qcow2', 'encrypt.key-secret': 'key', file: { driver: 'file', filename: 'c.qcow2' } } };
async function round() {
  await convert({ source, target: { filename: 'b.qcow2', format: 'qcow2' }, compress: true });
  await compare({ first: source, second: 'b.qcow2' });
  await convert({ source, target: { filename: 'c.qcow2', format: 'qcow2' }, options: locked }, key);
  await compare({ first: source, second: image }, key);
  await info({ image: 'missing' }).catch(() => undefined);
}
await round();
const counts = [await count()];
for (let done = 0; done < 40; done++) await round();
counts.push(await count());
// Threads end after a while.
let rested = counts[1];
for (let times = 0; times < 60 && (times < 6 || rested[0] > counts[0][0]); times++) {
  await setTimeout(500);
  rested = await count();
}
counts.push(rested);
console.log(JSON.stringify(counts));
`;

describe('200 calls', () => {
  let directory = '';

  beforeAll(async () => {
    await run(process.execPath, [join(root, 'scripts/build.mjs')]);
    directory = mkdtempSync(join(tmpdir(), 'qimg-calls-'));
  }, 180_000);

  afterAll(() => {
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  });

  it('leave no thread, open file or buffer behind', async () => {
    const library = pathToFileURL(join(root, 'dist/lib/node.js')).href;
    const { stdout } = await run(process.execPath, ['--expose-gc', '--input-type=module', '-e', SERVICE, library], {
      cwd: directory,
    });
    const [early = [], late = [], rested = []] = JSON.parse(stdout) as number[][];
    // Node's own threads come as they are needed; what a call leaves would count 200 times.
    expect(late[0]).toBeLessThanOrEqual((early[0] ?? 0) + 8);
    expect(rested[0]).toBeLessThanOrEqual(early[0] ?? 0);
    expect(late[1]).toBe(early[1]);
    expect(rested[1]).toBeLessThanOrEqual(early[1] ?? 0);
    expect(rested[2]).toBeLessThan((early[2] ?? 0) + 1);
    // Without threads a few memories are kept; one for each call would be 2,000 GiB.
    expect(rested[3]).toBeLessThan((early[3] ?? 0) + 50);
  }, 300_000);
});
