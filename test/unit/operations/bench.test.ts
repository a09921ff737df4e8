import { describe, expect, it } from 'vitest';
import { bench } from '../../../src/operations/bench.ts';
import type { OperationContext } from '../../../src/operations/context.ts';
import type { BenchRequest } from '../../../src/operations/requests.ts';
import { formatBench, formatBenchPlan } from '../../../src/report/bench.ts';
import { MemoryFiles } from '../../../src/testing.ts';
import { contentOf, contextOf, make } from '../../support/chain.ts';

const MIB = 1 << 20;

function requestOf(more: Partial<BenchRequest>): BenchRequest {
  return {
    image: { filename: 'disk', format: 'raw' },
    count: 10,
    depth: 4,
    ...more,
  };
}

async function world(): Promise<{ files: MemoryFiles; context: OperationContext }> {
  const files = new MemoryFiles();
  const context = contextOf(files);
  await make(context, 'disk', { format: 'raw', size: MIB });
  return { files, context };
}

describe('bench', () => {
  it('says what it does and how long it took', async () => {
    const { context } = await world();
    let plan = '';
    const result = await bench(context, requestOf({ write: true, flushInterval: 8 }), {
      onStart: (found) => {
        plan = formatBenchPlan(found);
      },
    });
    expect(plan).toBe(
      'Sending 10 write requests, 4096 bytes each, 4 in parallel (starting at offset 0, step size 4096)\n' +
        'Sending flush every 8 requests\n',
    );
    expect(formatBench(result)).toBe('Run completed in 0.000 seconds.\n');
  });

  it('writes where the real tool writes, starting again before the end', async () => {
    const { context } = await world();
    await bench(context, requestOf({ write: true, pattern: 1, count: 3, depth: 1, stepSize: 614400 }));
    const bytes = await contentOf(context, 'disk', 'raw');
    const starts = [...bytes.keys()].filter((at) => bytes[at] === 1 && bytes[at - 1] !== 1);
    expect(starts).toEqual([0, 184320, 614400]);
  });

  it('stays at the start if a request takes all of the image', async () => {
    const { context } = await world();
    await expect(bench(context, requestOf({ bufferSize: MIB, count: 3 }))).resolves.toMatchObject({ stepSize: MIB });
  });

  it.each([{ offset: 2 * MIB }, { bufferSize: 2 * MIB }, { offset: MIB - 512 }])(
    'fails where a request does not fit: %j',
    async (more) => {
      const { context } = await world();
      await expect(bench(context, requestOf(more))).rejects.toThrow('Failed request: Input/output error');
    },
  );

  it('keeps to the depth and flushes in between', async () => {
    const { files, context } = await world();
    files.inject('disk', { operation: 'flush', after: 2 });
    const how = { write: true, count: 9, flushInterval: 4, depth: 4 };
    await expect(bench(context, requestOf({ ...how, count: 8 }))).resolves.toBeDefined();
    files.heal('disk');
    files.inject('disk', { operation: 'flush', after: 1 });
    await expect(bench(context, requestOf(how))).rejects.toThrow('Failed request: Input/output error');
    await expect(bench(context, requestOf({ ...how, drainOnFlush: false }))).rejects.toThrow('Failed request');
  });

  it('refuses what the real tool refuses', async () => {
    const { context } = await world();
    await expect(bench(context, requestOf({ aio: 'native' }))).rejects.toThrow(
      "Could not open 'disk': aio=native was specified, but it requires cache.direct=on, which was not specified.",
    );
    await expect(bench(context, requestOf({ aio: 'native', cache: 'none' }))).resolves.toBeDefined();
    await expect(bench(context, requestOf({ write: true, forceShare: true }))).rejects.toThrow(
      "Could not open 'disk': force-share=on can only be used with read-only images",
    );
  });
});
