/** `bitmap`: changes persistent dirty bitmaps. */
import { asBlockError, BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { UNNAMED_NODE } from '../block/graph/describe.ts';
import type { BitmapStore } from '../block/capabilities.ts';
import type { ImageNode } from '../block/node/node.ts';
import type { OperationContext } from './context.ts';
import { differentSizes } from './copy/bitmaps.ts';
import type { BitmapAction, BitmapRequest, ImageInput } from './requests.ts';
import { imageName, imageOptions, oneOf } from './shorthand.ts';
import { withSource } from './source.ts';

/** Name of the image's node in messages; the real tool numbers those that the user gives none. */
function nodeName(image: ImageInput): string {
  const name = imageOptions(image)?.['node-name'];
  return typeof name === 'string' ? name : UNNAMED_NODE;
}

/** What a step can be. */
const KINDS = ['add', 'remove', 'clear', 'enable', 'disable', 'remove-all', 'merge'] as const;

/** Result of {@link bitmap}. */
export interface BitmapResult {
  readonly filename: string;
  readonly format: string;
}

/**
 * Does the steps in order. Those before a step that fails are kept.
 * @throws BlockError `Operation KIND on bitmap NAME failed: ...`.
 */
export async function bitmap(context: OperationContext, request: BitmapRequest): Promise<BitmapResult> {
  const { image } = request;
  checkActions(request);
  let failure: BlockError | undefined;
  const format = await withSource(context, image, { writable: true, noBacking: true }, async (node) => {
    const steps = async (source: ImageNode): Promise<void> => {
      try {
        for (const action of request.actions) await step(request, action, node, source);
      } catch (thrown) {
        // The image is closed as after a success, so that earlier steps are stored.
        failure = asBlockError(thrown);
      }
      failure = (await lost(context, node, failure)) ?? failure;
    };
    if (request.source === undefined) await steps(node);
    else await withSource(context, request.source, { noBacking: true }, steps);
    return node.format;
  });
  if (failure) throw failure;
  return { filename: imageName(image), format };
}

/** No step is done if one of them cannot be. */
function checkActions(request: BitmapRequest): void {
  const actions: unknown = request.actions;
  if (!Array.isArray(actions)) throw invalidArgument('actions: a list of steps is needed');
  for (const action of actions as readonly (Partial<BitmapAction & { kind: 'merge' }> | null | undefined)[]) {
    const kind: string | undefined = action?.kind;
    oneOf<string>('bitmap action', String(kind), KINDS);
    if (kind === 'merge' && typeof action?.source !== 'string') {
      throw invalidArgument('merge: the name of a bitmap is needed as its source');
    }
  }
}

/** Stores the bitmaps; gives the error if they cannot be. The lines that come before its own are shown. */
async function lost(
  context: OperationContext,
  node: ImageNode,
  failure: BlockError | undefined,
): Promise<BlockError | undefined> {
  try {
    await node.bitmaps?.save();
    return undefined;
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (failure) context.onComplaint?.(failure.message);
    if (error.cause instanceof BlockError) context.onComplaint?.(error.cause.message);
    return error;
  }
}

async function step(request: BitmapRequest, action: BitmapAction, node: ImageNode, source: ImageNode): Promise<void> {
  const store = node.bitmaps;
  if (action.kind === 'remove-all') {
    for (const { name } of (await store?.list()) ?? []) await store?.remove(name);
    return;
  }
  const { bitmap: name = '' } = request;
  try {
    if (action.kind === 'add' && !store) throw cannotStore(node, name, nodeName(request.image));
    if (!store) throw notFound(name);
    if (action.kind === 'merge') await merge(store, name, node, source, action.source);
    else await change(store, action.kind, name, request.granularity);
  } catch (thrown) {
    throw asBlockError(thrown).prepend(`Operation ${action.kind} on bitmap ${name} failed: `);
  }
}

async function change(
  store: BitmapStore,
  kind: 'add' | 'remove' | 'clear' | 'enable' | 'disable',
  name: string,
  granularity: number | undefined,
): Promise<void> {
  switch (kind) {
    case 'add':
      return store.add(name, granularity, true);
    case 'remove':
      return store.remove(name);
    case 'clear':
      return store.clear(name);
    case 'enable':
    case 'disable':
      return store.setEnabled(name, kind === 'enable');
  }
}

async function merge(
  store: BitmapStore,
  name: string,
  node: ImageNode,
  source: ImageNode,
  sourceName: string,
): Promise<void> {
  // An empty change finds out whether the bitmap is there and can be used, before the source is looked at.
  await store.mark(name, []);
  if (!source.bitmaps) throw notFound(sourceName);
  const ranges = source.bitmaps.ranges(sourceName);
  if (node.size() !== source.size()) throw differentSizes(node, source);
  if (source !== node || sourceName !== name) await store.mark(name, ranges);
}

function notFound(name: string): BlockError {
  return new BlockError('not-found', `Dirty bitmap '${name}' not found`);
}

/** Why an image has no bitmaps. */
function cannotStore({ quirks }: ImageNode, name: string, own: string): BlockError {
  return quirks.noBitmaps === undefined
    ? unsupported(`Can't store persistent bitmaps to ${own}: Operation not supported`)
    : unsupported(`Can't make bitmap '${name}' persistent in '${own}': ${quirks.noBitmaps}`);
}
