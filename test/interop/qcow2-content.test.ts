/** qcow2 images that cross the border: written here and read by the real tool, and the other way round. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import { nodeServices } from '../../src/host/node/host.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { createOn, driverOf, openOn } from '../unit/formats/qcow2/support.ts';

const SIZE = 3 * 1048576 + 512;
const services = nodeServices();
let directory = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qcow2-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function openFile(name: string, writable: boolean): Promise<Storage> {
  const handle = await services.files.open(join(directory, name), { writable });
  return new CheckedStorage(handle, { name, readOnly: !writable });
}

/** Options as `-o` text and as values. */
const GEOMETRIES: readonly Record<string, string | number | boolean>[] = [
  {},
  { cluster_size: 512 },
  { cluster_size: 512, refcount_bits: 64 },
  { cluster_size: 4096, refcount_bits: 1 },
  { cluster_size: 1024, refcount_bits: 2, lazy_refcounts: true },
  { extended_l2: true },
  { cluster_size: 16384, extended_l2: true },
  { cluster_size: 2097152 },
  { compat: '0.10' },
  { compression_type: 'zstd' },
  { cluster_size: 4096, preallocation: 'metadata' },
];

/** `-o` text of create options. */
function asText(options: Record<string, string | number | boolean>): string[] {
  const pairs = Object.entries(options).map(([name, value]) => `${name}=${value === true ? 'on' : value}`);
  return pairs.length > 0 ? ['-o', pairs.join(',')] : [];
}

/** Small repeatable pseudo-random numbers. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
}

async function scribble(node: ImageNode, model: Uint8Array, random: (below: number) => number): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const offset = random(SIZE);
    const length = Math.min(SIZE - offset, 1 + random([600, 70000, 900000][random(3)] ?? 1));
    const kind = random(8);
    if (kind < 4) {
      const bytes = new Uint8Array(length).fill(1 + random(255));
      await node.write(offset, bytes);
      model.set(bytes, offset);
    } else if (kind < 6) {
      await node.writeZeroes(offset, length, { unmap: kind === 4 });
      model.fill(0, offset, offset + length);
    } else if (kind === 6) {
      await node.flush();
    } else {
      const { compressor } = driverOf(node);
      const start = offset - (offset % compressor.unit);
      const bytes = Uint8Array.from({ length: Math.min(compressor.unit, SIZE - start) }, () => random(4) * 17);
      const [coded] = await compressor.encode(start, bytes);
      if (coded) await node.storeCompressed(start, coded);
      else await node.write(start, bytes);
      model.set(bytes, start);
    }
  }
}

describeWithOracle('qcow2 and the real tool', () => {
  it.each(GEOMETRIES)('agree on what is written here: %j', async (options) => {
    writeFileSync(join(directory, 'ours.qcow2'), '');
    let file = await openFile('ours.qcow2', true);
    await createOn(file, { ...options, size: SIZE });
    await file.close();
    const model = new Uint8Array(SIZE);
    const random = randomFrom(42);
    for (let session = 0; session < 2; session++) {
      file = await openFile('ours.qcow2', true);
      const node = await openOn(file, { services });
      await scribble(node, model, random);
      await node.close();
      await file.close();
      writeFileSync(join(directory, 'model.raw'), model);
      const check = spawnSync(oracleProgram('qemu-img'), ['check', 'ours.qcow2'], { cwd: directory, encoding: 'utf8' });
      expect({ status: check.status, errors: check.stderr }).toEqual({ status: 0, errors: '' });
      const compare = spawnSync(
        oracleProgram('qemu-img'),
        ['compare', '-f', 'qcow2', '-F', 'raw', 'ours.qcow2', 'model.raw'],
        { cwd: directory, encoding: 'utf8' },
      );
      expect(compare.stdout).toBe('Images are identical.\n');
    }
  });

  it.each(GEOMETRIES)('agree on what is written there: %j', async (options) => {
    execFileSync(
      oracleProgram('qemu-img'),
      ['create', '-q', '-f', 'qcow2', ...asText(options), 'theirs.qcow2', `${SIZE}`],
      {
        cwd: directory,
      },
    );
    const random = randomFrom(7);
    const commands: string[] = [];
    for (let i = 0; i < 30; i++) {
      const offset = random(SIZE / 512) * 512;
      const length = Math.min(SIZE - offset, (1 + random(400)) * 512);
      const kind = ['write -P', 'write -P', 'write -z', 'write -zu', 'discard'][random(5)] ?? '';
      commands.push(
        '-c',
        kind === 'write -P' ? `${kind} ${1 + random(255)} ${offset} ${length}` : `${kind} ${offset} ${length}`,
      );
    }
    execFileSync(oracleProgram('qemu-io'), ['-f', 'qcow2', ...commands, 'theirs.qcow2'], { cwd: directory });
    execFileSync(oracleProgram('qemu-img'), ['convert', '-O', 'raw', 'theirs.qcow2', 'theirs.raw'], { cwd: directory });
    await expectSame('theirs.qcow2', 'theirs.raw');
  });

  it.each(['zlib', 'zstd'])('agree on %s clusters compressed there', async (type) => {
    const bytes = Uint8Array.from({ length: 2000000 }, (_, i) => ((i * i) >> 11) % 97);
    writeFileSync(join(directory, 'plain.raw'), bytes);
    const args = ['convert', '-c', '-O', 'qcow2', '-o', `compression_type=${type}`, 'plain.raw', 'packed.qcow2'];
    execFileSync(oracleProgram('qemu-img'), args, { cwd: directory });
    await expectSame('packed.qcow2', 'plain.raw');
  });

  it.each(GEOMETRIES)('create the same bytes: %j', async (options) => {
    execFileSync(
      oracleProgram('qemu-img'),
      ['create', '-q', '-f', 'qcow2', ...asText(options), 'new.qcow2', '33554432'],
      {
        cwd: directory,
      },
    );
    writeFileSync(join(directory, 'same.qcow2'), '');
    const file = await openFile('same.qcow2', true);
    await createOn(file, { ...options, size: 33554432 });
    await file.close();
    expect(equalBytes(readFileSync(join(directory, 'same.qcow2')), readFileSync(join(directory, 'new.qcow2')))).toBe(
      true,
    );
  });
});

/** Reads an image here and compares it with a raw file. */
async function expectSame(image: string, plain: string): Promise<void> {
  const file = await openFile(image, false);
  const node = await openOn(file, { readOnly: true, services });
  const content = new Uint8Array(node.size());
  await node.read(0, content);
  const expected = readFileSync(join(directory, plain));
  expect(equalBytes(content.subarray(0, expected.length), expected)).toBe(true);
  await node.close();
  await file.close();
}
