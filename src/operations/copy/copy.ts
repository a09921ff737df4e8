/** A whole copy from a source into an open target; shared by `convert` and `dd`. */
import type { BlockError } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import type { Coder } from '../../block/capabilities.ts';
import { quickTransfer } from '../../block/graph/bottom.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { OperationContext } from '../context.ts';
import { Pace } from './pace.ts';
import { chunkFor, runPipeline } from './pipeline.ts';
import { Planner } from './plan.ts';
import type { Sharing } from './sharing.ts';
import type { RunSource } from './source.ts';
import { CopySteps } from './steps.ts';
import { CompressedStore, PlainStore, type StoreOptions } from './store.ts';
import { zeroSearch } from './zeroRuns.ts';

/** How a copy is made. */
export interface CopyOptions {
  /** The target reads as zeroes from this offset on: 0 if it is new, infinite if nothing is known. */
  readonly zeroedFrom: number;
  /** Zeroes that are found in data are recorded everywhere, also from `zeroedFrom` on. */
  readonly recordFound?: boolean;
  /** What a source reports as `below` is in the target's backing image up to this offset. */
  readonly belowEnd?: number;
  /** Runs of so many zero bytes in data are not stored; 0: do not look. */
  readonly sparseSize: number;
  /** Store zeroes as if they were data. */
  readonly zeroesAsData?: boolean;
  /** Store everything through it. */
  readonly compressor?: Coder;
  /** Copy inside the kernel, so many bytes at a time. */
  readonly kernelChunk?: number;
  /** What is shared instead of being copied; no zeroes are looked for in it. */
  readonly sharing?: Sharing;
  /** Bytes per second. */
  readonly rateLimit?: number;
  /** What the source reads from. */
  readonly reads?: readonly ImageNode[];
  /** Most pieces in flight. */
  readonly parallel?: number;
  /** Pieces are stored when they are read, in whatever order that is. */
  readonly outOfOrder?: boolean;
  /** A new walk through the source with the runs that the real tool sees, for its steps. Absent: the source itself. */
  readonly counted?: () => RunSource;
  /** Called for each sector that cannot be read, which becomes zeroes; absent: the copy fails. */
  onBadSector?(offset: number, error: BlockError): void;
}

/** What a copy has to say when it is done. */
export interface CopyOutcome {
  /** Sectors that could not be read and are zeroes in the target. */
  readonly badSectors: number;
  /** Bytes that progress counted. */
  readonly total: number;
}

/** Largest area to which data is widened with zeroes. */
const WIDEST = 64 * KiB;

/**
 * Area to which data is widened with zeroes: what new images allocate as one is written once and leaves no holes in
 * the file, as long as that is little. Images that have space for everything from the start allocate nothing.
 */
async function widening(target: ImageNode, options: CopyOptions): Promise<number> {
  // Subclusters are smaller than what is allocated, and show in what can be zeroed.
  const unit = Math.min(target.allocationUnit ?? 1, target.limits.writeZeroesAlignment || Number.POSITIVE_INFINITY);
  const fresh = Number.isFinite(options.zeroedFrom) && options.kernelChunk === undefined && !options.onBadSector;
  if (!fresh || unit <= 1 || target.size() === 0) return 1;
  const { kind } = await target.map(0, target.size());
  return kind === 'zero' || kind === 'unallocated' ? Math.min(unit, WIDEST) : 1;
}

/**
 * Copies `source` to the start of `target`, in order. Progress is reported in bytes of data, to the end only where the
 * source has data there: the caller tells when everything is done.
 * @throws BlockError `error while reading at byte N: ...` or `error while writing at byte N: ...`.
 */
export async function copyInto(
  context: OperationContext,
  source: RunSource,
  target: ImageNode,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { buffers } = context.services;
  const { compressor, sharing } = options;
  const search = options.sparseSize > 0 ? zeroSearch(options.sparseSize) : undefined;
  const quick = Math.min(...[...(options.reads ?? []), target].map(quickTransfer));
  const chunk = options.kernelChunk ?? chunkFor(buffers, compressor?.unit ?? 1, { least: search?.step, most: quick });
  const storeOptions: StoreOptions = {
    zeroedFrom: options.zeroedFrom,
    buffers,
    recordFound: options.recordFound ?? false,
    ...(search ? { search } : {}),
    ...(options.kernelChunk === undefined ? {} : { kernelCopy: true }),
    ...(sharing ? { sharing } : {}),
  };
  const unit = compressor?.unit ?? (await widening(target, options));
  const store = compressor
    ? new CompressedStore(target, compressor, storeOptions)
    : new PlainStore(target, storeOptions, unit);
  const plan = {
    // What hides the backing image is stored piece by piece, as the real tool does; it shows in what is allocated.
    ...(compressor || options.belowEnd === undefined ? {} : { unitFrom: options.belowEnd }),
    zeroesAsData: options.zeroesAsData ?? false,
    ...(options.belowEnd === undefined ? {} : { belowEnd: options.belowEnd }),
  };
  const planner = new Planner(source, { ...plan, chunk, unit, ...(sharing ? { sharing } : {}) });
  const steps = new CopySteps(context, {
    source: options.counted ?? (() => source),
    plan: { ...plan, unit: compressor?.unit ?? 1 },
  });
  let badSectors = 0;
  const { rateLimit, parallel, outOfOrder = false } = options;
  const onBadSector = options.onBadSector?.bind(options);
  await steps.begin();
  await runPipeline(planner, store, {
    chunk,
    services: context.services,
    onProgress: (done) => steps.advance(done),
    // What is compressed lies in order, for some formats by their rules.
    outOfOrder: outOfOrder && !compressor,
    ...(parallel === undefined ? {} : { depth: parallel }),
    ...(context.signal ? { signal: context.signal } : {}),
    ...(rateLimit === undefined ? {} : { pace: new Pace(rateLimit, context.services) }),
    ...(onBadSector
      ? {
          // One piece at a time, so that reports come in order.
          depth: 1,
          onBadSector: (offset: number, error: BlockError) => {
            badSectors++;
            onBadSector(offset, error);
          },
        }
      : {}),
  });
  await steps.advance(source.size);
  return { badSectors, total: steps.total ?? source.size };
}
