/** `amend`: changes options of an existing image. */
import { BlockError } from '../base/error.ts';
import type { FormatDriver } from '../block/format.ts';
import { claimFile } from '../block/graph/bottom.ts';
import { coerceOptions } from '../options/coerce.ts';
import type { OptionPair } from '../options/keyval.ts';
import type { OperationContext } from './context.ts';
import type { AmendRequest } from './requests.ts';
import { imageName, optionPairs } from './shorthand.ts';
import { withSource } from './source.ts';

/** Result of {@link amend}. */
export interface AmendResult {
  readonly filename: string;
  readonly format: string;
}

/** What is told while options are changed. */
export interface AmendObserver {
  /** The image is open, and the options are such that it has. */
  started?(): void;
}

/**
 * Changes options of an image. Progress is counted in units of what is done, and starts anew with each part of it.
 * @throws BlockError if the format cannot do that, or refuses a value.
 */
export async function amend(
  context: OperationContext,
  request: AmendRequest,
  observer: AmendObserver = {},
): Promise<AmendResult> {
  const { cache, image, force = false } = request;
  const how = { writable: true, resize: true, cache };
  return withSource(context, image, how, async (node) => {
    if (!context.drivers.isFormat(node.format)) throw unsupported(node.format);
    const driver = await context.drivers.format(node.format);
    const options = amendValues(driver, optionPairs(request.options));
    const { amends } = node;
    if (!amends) throw unsupported(driver.name);
    observer.started?.();
    try {
      if (amends.alone) await claimFile(node);
      await node.amend(options, { force, onProgress: (done, total) => context.onProgress?.(done, total) });
    } finally {
      // Also where it failed: the real tool's line ends so.
      context.onProgress?.(1, 1);
    }
    return { filename: imageName(image), format: node.format };
  });
}

function unsupported(name: string): BlockError {
  return new BlockError('unsupported', `Format driver '${name}' does not support option amendment`);
}

/** Values of what was given. Options that only new images have are told from those that do not exist. */
function amendValues(driver: FormatDriver, pairs: readonly OptionPair[]): ReturnType<typeof coerceOptions>['values'] {
  const { amendOptions, createOptions = {} } = driver;
  if (!amendOptions) throw unsupported(driver.name);
  try {
    return coerceOptions(amendOptions, pairs).values;
  } catch (error) {
    if (!(error instanceof BlockError) || !isCreation({ ...createOptions, ...amendOptions }, pairs)) throw error;
    throw new BlockError(error.kind, error.message, { hint: 'This option is only supported for image creation' });
  }
}

function isCreation(table: NonNullable<FormatDriver['createOptions']>, pairs: readonly OptionPair[]): boolean {
  try {
    coerceOptions(table, pairs);
    return true;
  } catch {
    return false;
  }
}
