/** Persistent dirty bitmaps of a source, taken over by a target. */
import { asBlockError, type BlockError, invalidArgument, invalidImage, unsupported } from '../../base/error.ts';
import { exactDecimal } from '../../base/size.ts';
import type { BitmapInfo, BitmapStore } from '../../block/capabilities.ts';
import type { ImageNode } from '../../block/node/node.ts';

/** What to do with bitmaps whose content cannot be trusted. */
export interface BitmapChoice {
  /** Leave them out with a warning instead of failing. */
  readonly skipBroken: boolean;
  warn(text: string): void;
}

/**
 * The bitmaps of a source, before anything is written; the last comes first, as the real tool goes through them.
 * @throws BlockError if the source has none to offer, or one that cannot be copied.
 */
export async function bitmapsToCopy(source: ImageNode, choice: BitmapChoice): Promise<readonly BitmapInfo[]> {
  const { bitmaps: store } = source;
  if (!store && source.quirks.ignoresBitmaps) return [];
  if (!store) throw unsupported('Source lacks bitmap support');
  const list = (await store.list()).toReversed();
  const broken = list.find((bitmap) => bitmap.inUse);
  if (!broken || choice.skipBroken) return list;
  throw invalidImage(`Cannot copy inconsistent bitmap '${broken.name}'`, {
    context: { bitmap: broken.name },
    hint: { about: 'skip-bitmaps' },
  });
}

/** What keeps bitmaps of two images from being merged. */
export function differentSizes(target: ImageNode, source: ImageNode): BlockError {
  return invalidArgument(
    `Bitmaps are of different sizes (destination size is ${exactDecimal(target.size())}, source size is ` +
      `${exactDecimal(source.size())}) and can't be merged`,
  );
}

/** The bitmaps of a target; throws if it cannot have any. */
export function bitmapsOfTarget(target: ImageNode): BitmapStore {
  if (target.bitmaps) return target.bitmaps;
  throw unsupported(`Format driver '${target.format}' does not support bitmaps`);
}

/** Copies bitmaps with their content. */
export async function copyBitmaps(
  source: ImageNode,
  target: ImageNode,
  list: readonly BitmapInfo[],
  choice: BitmapChoice,
): Promise<void> {
  const store = bitmapsOfTarget(target);
  for (const { name, granularity, enabled, inUse } of list) {
    if (inUse) {
      choice.warn(`Skipping inconsistent bitmap '${name}'`);
      continue;
    }
    const ranges = source.bitmaps?.ranges(name) ?? [];
    await store.add(name, granularity, enabled).catch((thrown: unknown) => {
      throw asBlockError(thrown).prepend(`Failed to create bitmap ${name}: `);
    });
    if (source.size() !== target.size()) {
      await store.remove(name);
      throw differentSizes(target, source).prepend(`Failed to populate bitmap ${name}: `);
    }
    await store.mark(name, ranges);
  }
}
