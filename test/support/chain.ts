/** Chains of small images in memory, for tests of operations on them. */
import { permissiveGate } from '../../src/block/graph/gate.ts';
import { openImage } from '../../src/block/graph/open.ts';
import { drivers } from '../../src/drivers.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { check } from '../../src/operations/check.ts';
import { create } from '../../src/operations/create.ts';
import type { FilePort } from '../../src/storage/files.ts';
import { memoryServices } from '../../src/testing.ts';

/** A context over the given files. */
export function contextOf(files: FilePort, more: Partial<OperationContext> = {}): OperationContext {
  return { drivers, services: { ...memoryServices(), files }, gate: permissiveGate, ...more };
}

/** `[offset, length, value]`; value `zero` records zeroes instead of writing them. */
export type Area = readonly [offset: number, length: number, value: number | 'zero'];

/** What a test image is like. */
export interface ImagePlan {
  readonly format?: string;
  readonly size?: number;
  readonly backing?: readonly [filename: string, format: string];
  /** `-o` options. */
  readonly options?: Readonly<Record<string, string>>;
  readonly areas?: readonly Area[];
}

/** Writes areas into an existing image. */
async function fill(
  context: OperationContext,
  filename: string,
  format: string,
  areas: readonly Area[],
): Promise<void> {
  const node = await openImage(context, { filename, format, writable: true });
  for (const [offset, length, value] of areas) {
    if (value === 'zero') await node.writeZeroes(offset, length);
    else await node.write(offset, new Uint8Array(length).fill(value));
  }
  await node.close();
}

/** Creates an image (qcow2 by default). */
export async function make(context: OperationContext, filename: string, plan: ImagePlan): Promise<void> {
  const { format = 'qcow2', size, backing, options = {}, areas = [] } = plan;
  await create(context, {
    filename,
    format,
    options: Object.entries(options).map(([name, value]) => ({ name, value })),
    size,
    backing: backing && { filename: backing[0], format: backing[1] },
  });
  await fill(context, filename, format, areas);
}

/** All guest bytes. */
export async function contentOf(context: OperationContext, filename: string, format = 'qcow2'): Promise<Uint8Array> {
  const node = await openImage(context, { filename, format });
  try {
    const bytes = new Uint8Array(node.size());
    await node.read(0, bytes);
    return bytes;
  } finally {
    await node.close();
  }
}

/** What the image's own layer has in each step: data, 0 (zeroes), . (nothing), c (compressed). */
export async function layerOf(
  context: OperationContext,
  filename: string,
  step = 65536,
  format = 'qcow2',
): Promise<string> {
  const node = await openImage(context, { filename, format });
  let text = '';
  for (let at = 0; at < node.size(); at += step) {
    const { kind } = await node.map(at, step);
    text += { data: 'd', zero: '0', unallocated: '.', special: 'c' }[kind];
  }
  await node.close();
  return text;
}

/** Damage other than leaks that a check finds. */
export async function damageOf(context: OperationContext, filename: string, format = 'qcow2'): Promise<number> {
  const result = await check(context, { image: { filename, format }, repair: 'none' });
  return result.kind === 'unsupported' ? 0 : result.findings.corruptions;
}
