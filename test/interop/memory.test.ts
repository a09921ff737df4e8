/** Memory is bounded by buffers and caches, never by the size of a disk. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ours, peakMemory } from '../support/program.ts';

const MiB = 1048576;
/** Bytes that no command may need, whatever it is used on. */
const MOST = 300 * MiB;

/** A sparse raw image: `count` pieces of `length` bytes, one at the start of every `stride` bytes. */
function pieces(path: string, size: number, count: number, stride: number, length: number): void {
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, size);
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < count; index++) {
      // Repeats itself, so that compressing it costs little time.
      for (let at = 0; at < length; at += 4) bytes.writeUInt32LE((index * 2654435761 + (at % 512) * 40503) >>> 0, at);
      writeSync(fd, bytes, 0, length, index * stride);
    }
  } finally {
    closeSync(fd);
  }
}

describe('peak memory', () => {
  let directory = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-memory-'));
    pieces(join(directory, 'solid.raw'), 384 * MiB, 96, 4 * MiB, 4 * MiB);
    pieces(join(directory, 'scattered.raw'), 65536 * MiB, 16384, 4 * MiB, 4096);
    await ours('convert -f raw -O qcow2 -c solid.raw packed.qcow2', directory);
    await ours('convert -f raw -O qcow2 -c -o cluster_size=2M solid.raw packed2m.qcow2', directory);
    await ours('convert -f raw -O qcow2 -o cluster_size=4k scattered.raw scattered.qcow2', directory);
    await ours('create -q -f qcow2 -o preallocation=metadata wide.qcow2 1T', directory);
  }, 240_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each([
    'convert -f raw -O qcow2 solid.raw out',
    'convert -W -m 16 -f raw -O raw -S 0 solid.raw out',
    'convert -c -f raw -O qcow2 solid.raw out',
    'convert -c -m 16 -f raw -O qcow2 -o compression_type=zstd,cluster_size=2M solid.raw out',
    'convert -f raw -O vmdk -o subformat=streamOptimized solid.raw out',
    'convert -f qcow2 -O raw packed.qcow2 out',
    'convert -m 16 -f qcow2 -O raw packed2m.qcow2 out',
    'convert -f raw -O qcow2 -o cluster_size=512 solid.raw out',
    'convert -f raw -O qcow2 scattered.raw out',
    'convert -f raw -O vhdx solid.raw out',
    'convert -f qcow2 -O vdi scattered.qcow2 out',
    'check -f qcow2 wide.qcow2',
    'check -f qcow2 packed.qcow2',
    'map --output=json -f qcow2 scattered.qcow2',
    'map --output=json -f qcow2 wide.qcow2',
    'compare -f raw -F qcow2 scattered.raw scattered.qcow2',
    'compare -f raw -F qcow2 solid.raw packed2m.qcow2',
  ])('of %s stays small', { timeout: 300_000 }, async (line) => {
    const peak = await peakMemory(line, directory);
    if (process.env['QIMG_TEST_REPORT']) process.stderr.write(`${Math.round(peak / MiB)} MiB: ${line}\n`);
    expect(peak).toBeLessThan(MOST);
    rmSync(join(directory, 'out'), { force: true });
  });
});
