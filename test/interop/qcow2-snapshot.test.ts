/** Snapshots and bitmaps: images go back and forth between the real programs and this one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bitmap } from '../../src/operations/bitmap.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { convert } from '../../src/operations/convert.ts';
import { info } from '../../src/operations/info.ts';
import type { BitmapAction, SnapshotRequest } from '../../src/operations/requests.ts';
import { snapshot } from '../../src/operations/snapshot.ts';
import { drivers } from '../../src/drivers.ts';
import { permissiveGate } from '../../src/block/graph/gate.ts';
import { nodeServices } from '../../src/host/node/host.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';

let directory = '';

function real(...args: string[]): string {
  return execFileSync(oracleProgram('qemu-img'), args, { cwd: directory, encoding: 'utf8' });
}

function io(image: string, ...commands: string[]): string {
  const args = commands.flatMap((command) => ['-c', command]);
  return execFileSync(oracleProgram('qemu-io'), [...args, image], { cwd: directory, encoding: 'utf8' });
}

function context(): OperationContext {
  const secrets = { get: (): never => expect.fail('no secrets here') };
  return { drivers, services: nodeServices({ secrets }), gate: permissiveGate };
}

function path(name: string): string {
  return join(directory, name);
}

async function ours(image: string, action: SnapshotRequest['action'], name?: string): Promise<string[]> {
  const request = { image: { filename: path(image) }, action };
  const { snapshots } = await snapshot(context(), name === undefined ? request : { ...request, name });
  return snapshots.map((entry) => `${entry.id} ${entry.name} ${entry.virtualSize}`);
}

async function bitmaps(image: string, name: string, ...actions: BitmapAction[]): Promise<void> {
  await bitmap(context(), { image: { filename: path(image) }, bitmap: name, actions });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qcow2-snapshot-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describeWithOracle('snapshots and bitmaps', () => {
  it.each([
    ['plain', 'cluster_size=65536'],
    ['small', 'cluster_size=512'],
    ['old', 'compat=0.10'],
    ['extended', 'extended_l2=on'],
    ['lazy', 'lazy_refcounts=on,refcount_bits=64'],
  ])('of %s images can be made and used by either program', async (name, options) => {
    const image = `${name}.qcow2`;
    real('create', '-q', '-f', 'qcow2', '-o', options, image, '2M');
    io(image, 'write -P 1 0 1M');
    await ours(image, 'create', 'one');
    io(image, 'write -P 2 500k 1M', 'write -z 0 64k');
    real('snapshot', '-c', 'two', image);
    await ours(image, 'create', 'three');
    io(image, 'write -P 3 1M 1M');
    real('check', image);
    expect(await ours(image, 'list')).toEqual(['1 one 2097152', '2 two 2097152', '3 three 2097152']);
    await ours(image, 'apply', 'one');
    io(image, 'read -P 1 0 1M', 'read -P 0 1M 1M');
    real('check', image);
    io(image, 'write -P 4 0 2M');
    await ours(image, 'delete', 'one');
    real('check', image);
    real('snapshot', '-a', 'two', image);
    io(image, 'read -P 0 0 64k', 'read -P 1 64k 436k', 'read -P 2 500k 1M');
    real('snapshot', '-a', 'three', image);
    await ours(image, 'delete', 'three');
    io(image, 'read -P 2 500k 1M');
    real('snapshot', '-d', 'two', image);
    real('check', image);
  });

  it('are converted: a snapshot of the real program, and its bitmaps', async () => {
    real('create', '-q', '-f', 'qcow2', 'source.qcow2', '8M');
    io('source.qcow2', 'write -P 1 1M 1M');
    real('snapshot', '-c', 'one', 'source.qcow2');
    real('bitmap', '--add', 'source.qcow2', 'b');
    io('source.qcow2', 'write -P 2 0 8M');
    const request = {
      source: path('source.qcow2'),
      target: { filename: path('target.qcow2'), format: 'qcow2' },
      snapshot: { either: 'one' },
      bitmaps: true,
    };
    await convert(context(), request);
    io('target.qcow2', 'read -P 0 0 1M', 'read -P 1 1M 1M', 'read -P 0 2M 6M');
    real('check', 'target.qcow2');
    real('bitmap', '--merge', 'b', 'target.qcow2', 'b');
    const described = JSON.parse(real('info', '--output=json', 'target.qcow2')) as {
      'format-specific': { data: { bitmaps: unknown } };
    };
    expect(described['format-specific'].data.bitmaps).toEqual([{ flags: ['auto'], name: 'b', granularity: 65536 }]);
  });

  it('bitmaps are kept up to date by either program', async () => {
    real('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4096', 'bitmaps.qcow2', '64M');
    await bitmaps('bitmaps.qcow2', 'a', { kind: 'add' });
    io('bitmaps.qcow2', 'write -P 1 0 64k', 'write -P 1 40M 4k');
    real('bitmap', '--add', '-g', '512', '--disable', 'bitmaps.qcow2', 'b');
    await bitmaps('bitmaps.qcow2', 'b', { kind: 'merge', source: 'a' }, { kind: 'enable' });
    real('bitmap', '--merge', 'b', 'bitmaps.qcow2', 'a');
    io('bitmaps.qcow2', 'write -P 1 63M 1M');
    real('check', 'bitmaps.qcow2');
    await bitmaps('bitmaps.qcow2', 'a', { kind: 'clear' }, { kind: 'disable' });
    real('check', 'bitmaps.qcow2');
    const { images } = await info(context(), {
      image: { filename: path('bitmaps.qcow2') },
      backingChain: false,
      limits: false,
    });
    expect(images[0]?.specific?.data['bitmaps']).toEqual([
      { flags: [], name: 'a', granularity: 4096 },
      { flags: ['auto'], name: 'b', granularity: 512 },
    ]);
    real('resize', '-q', 'bitmaps.qcow2', '1G');
    await bitmaps('bitmaps.qcow2', 'b', { kind: 'remove' });
    await bitmaps('bitmaps.qcow2', '', { kind: 'remove-all' });
    real('check', 'bitmaps.qcow2');
  });
});
