/** `map`: lists what is allocated where. */
import { asBlockError } from '../base/error.ts';
import { Breath } from '../base/inflight.ts';
import { type BlockStatus, walkChain } from '../block/node/chain.ts';
import type { OperationContext } from './context.ts';
import type { MapRequest } from './requests.ts';
import { wholeNumber } from './shorthand.ts';
import { openSource } from './source.ts';

/** Runs after which other events have their turn. */
const RUNS = 4096;

/** A run of guest bytes of one nature. */
export interface MapExtent {
  /** First guest byte. */
  readonly start: number;
  readonly length: number;
  /** Layer that decides: 0 is the image itself, 1 its backing image and so on. */
  readonly depth: number;
  /** The layer has an entry for the run, data or zeroes. */
  readonly present: boolean;
  /** Surely reads as zeroes. */
  readonly zero: boolean;
  /** Space is taken by data. */
  readonly data: boolean;
  readonly compressed: boolean;
  /** Where the run starts in the file that holds it, and the name of that file. */
  readonly offset?: number;
  readonly filename?: string;
}

/** Result of {@link map}. */
export interface MapResult {
  readonly extents: readonly MapExtent[];
}

/**
 * Lists the runs of an image, merged, in the order of the guest; for images with very many runs {@link mapExtents}
 * needs less memory.
 */
export async function map(context: OperationContext, request: MapRequest): Promise<MapResult> {
  const extents: MapExtent[] = [];
  for await (const extent of mapExtents(context, request)) extents.push(extent);
  return { extents };
}

/**
 * The runs of {@link map}, one after the other. The image is open until the last one was taken. A window that holds
 * nothing gives one run of length 0, as with the real tool.
 * @param onOpen is called when the image is open, before the first run is looked for.
 */
export async function* mapExtents(
  context: OperationContext,
  request: MapRequest,
  onOpen?: () => void,
): AsyncGenerator<MapExtent, void, undefined> {
  const { start = 0, length = Number.POSITIVE_INFINITY } = request;
  wholeNumber('start', start, 0);
  if (length !== Number.POSITIVE_INFINITY) wholeNumber('length', length, 0);
  const node = await openSource(context, request.image, { forceShare: request.forceShare, mapOnly: true });
  try {
    onOpen?.();
    const end = Math.min(node.size(), start + length);
    if (start >= end) {
      yield { start, length: 0, ...NOTHING };
      return;
    }
    const breath = new Breath(RUNS, context.services, context.signal);
    for await (const status of readable(walkChain(node, start, end))) {
      const pause = breath.step();
      if (pause) await pause;
      context.deadline?.check();
      yield toExtent(status);
      context.onProgress?.(status.start + status.length - start, end - start);
    }
  } finally {
    await node.close();
  }
}

/** Passes the runs on; damage that ends them is reported as the real tool does. */
async function* readable<T>(runs: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  try {
    yield* runs;
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Could not read file metadata: ${error.strerror}`);
  }
}

const NOTHING = { depth: 0, present: false, zero: false, data: false, compressed: false };

function toExtent(status: BlockStatus & { readonly start: number }): MapExtent {
  const { start, length, depth, present, zero, data, compressed, special, storage, offset } = status;
  // What only the driver can decode is not to be looked for in the file.
  const place = storage && offset !== undefined && !special ? { offset, filename: storage.name } : {};
  return { start, length, depth, present, zero, data, compressed, ...place };
}
