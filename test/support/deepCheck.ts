/** Deep checks of images in memory. */
import { DEFAULT_LIMITS } from '../../src/block/limits.ts';
import type { CheckFindings } from '../../src/block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../src/block/format.ts';
import { nodeCodecs } from '../../src/host/node/codecs.ts';
import { qcow } from '../../src/formats/qcow/driver.ts';
import { MemoryDriver, memoryStorage } from '../../src/storage/memory.ts';
import { createOn, Mirror, openOn } from './smallFormats.ts';
import { storageOf } from './vpcVhdx.ts';
import { fresh } from '../unit/formats/qcow2/support.ts';

/** What a check found, with the lines of its report. */
export type Found = Pick<CheckFindings, 'corruptions' | 'leaks'> & { readonly lines: readonly string[] };

/** A sound image. */
export const SOUND: Found = { corruptions: 0, leaks: 0, lines: [] };

/** What the deep check of an image in `bytes` finds. */
export async function deepCheckOn(driver: FormatDriver, bytes: Uint8Array): Promise<Found> {
  const image = await driver.open({
    file: memoryStorage(bytes),
    filename: 'test',
    readOnly: true,
    intent: 'check',
    keyless: true,
    options: {},
    services: { codec: nodeCodecs(), buffers: fresh, limits: DEFAULT_LIMITS },
    openChild: async () => undefined,
    warn: () => undefined,
  } as unknown as OpenContext);
  const lines: string[] = [];
  const found = await image.checker?.check('none', ({ text }) => lines.push(text), true);
  await image.close();
  if (!found) throw new Error(`${driver.name} has no deep check`);
  return { corruptions: found.corruptions, leaks: found.leaks, lines };
}

/** One error with that line. */
export function oneError(line: string): Found {
  return { corruptions: 1, leaks: 0, lines: [`ERROR ${line}`] };
}

/** A qcow image with two clusters of data and a compressed one; its L2 table is at 0x3000. */
export async function qcowSample(): Promise<Uint8Array> {
  const memory = new MemoryDriver(0);
  const file = storageOf(memory);
  await createOn(qcow, file, { size: 65536 });
  const mirror = await Mirror.start(() => openOn(qcow, file));
  await mirror.apply({ kind: 'write', offset: 0, length: 8192, value: 1 });
  await mirror.apply({ kind: 'compress', offset: 12288, value: 2 });
  await mirror.node.close();
  return memory.toBytes();
}
