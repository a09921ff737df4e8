/** Deep checks of images in memory. */
import type { CheckResult, FormatDriver, OpenContext } from '../../src/block/driver.ts';
import { nodeCodecs } from '../../src/host/node/codecs.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { fresh } from '../unit/formats/qcow2/support.ts';

/** What a check found, with the lines of its report. */
export type Found = Pick<CheckResult, 'corruptions' | 'leaks'> & { readonly lines: readonly string[] };

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
    services: { codec: nodeCodecs(), buffers: fresh },
    openChild: async () => undefined,
    warn: () => undefined,
  } as unknown as OpenContext);
  const lines: string[] = [];
  const found = await image.deepChecker?.check((line) => lines.push(line));
  await image.close();
  if (!found) throw new Error(`${driver.name} has no deep check`);
  return { corruptions: found.corruptions, leaks: found.leaks, lines };
}

/** One error with that line. */
export function oneError(line: string): Found {
  return { corruptions: 1, leaks: 0, lines: [`ERROR ${line}`] };
}
