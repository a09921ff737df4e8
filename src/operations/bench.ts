/** `bench`: times a run of requests. */
import { isPromise, Semaphore } from '../base/async.ts';
import { asBlockError, BlockError } from '../base/error.ts';
import type { ImageNode } from '../block/node.ts';
import { type OperationContext, throwIfAborted } from './context.ts';
import type { BenchRequest } from './requests.ts';
import { withSource } from './source.ts';

/** What is going to be done. */
export interface BenchPlan {
  readonly write: boolean;
  readonly count: number;
  readonly bufferSize: number;
  readonly depth: number;
  readonly offset: number;
  readonly stepSize: number;
  readonly flushInterval: number;
}

/** Result of {@link bench}. */
export interface BenchResult extends BenchPlan {
  /** Time from the first request to the answer of the last one. */
  readonly seconds: number;
}

/** Is told how the run goes. */
export interface BenchObserver {
  /** The image is open; the requests come next. */
  onStart?(plan: BenchPlan): void;
}

/** Requests after which other events get a chance, when all are answered at once. */
const BREATHE = 4096;

/**
 * Sends requests to an image, several at a time, and takes the time.
 * @throws BlockError `Failed request: ...` and those of opening.
 */
export async function bench(
  context: OperationContext,
  request: BenchRequest,
  observer: BenchObserver = {},
): Promise<BenchResult> {
  const { write, forceShare, cache = 'writeback', image } = request;
  return withSource(context, image, { writable: write, forceShare, cache }, async (node) => {
    checkAio(request);
    const { count, bufferSize, depth, offset, flushInterval } = request;
    const stepSize = request.stepSize === 0 ? bufferSize : request.stepSize;
    const plan = { write, count, bufferSize, depth, offset, stepSize, flushInterval };
    observer.onStart?.(plan);
    const start = seconds(context);
    await new Run(context, request, plan, node).run();
    return { ...plan, seconds: Math.max(0, seconds(context) - start) };
  });
}

/** Requests are sent the same way whatever is asked for, but scripts learn what would not work. */
function checkAio({ aio, cache = 'writeback', image }: BenchRequest): void {
  if (aio !== 'native' || cache === 'none' || cache === 'off' || cache === 'directsync') return;
  throw new BlockError(
    'invalid-argument',
    `Could not open '${image.filename}': aio=native was specified, but it requires cache.direct=on, which was not ` +
      'specified.',
  );
}

function seconds({ services }: OperationContext): number {
  const now = services.now();
  return now.seconds + now.nanoseconds / 1e9;
}

/** One run with the image open. */
class Run {
  readonly #context: OperationContext;
  readonly #plan: BenchPlan;
  readonly #drain: boolean;
  readonly #node: ImageNode;
  readonly #slots: Semaphore;
  readonly #running: Set<Promise<void>> = new Set();
  /** Memory of requests that are not under way. */
  readonly #spare: Uint8Array[] = [];
  /** What is written. */
  readonly #pattern: Uint8Array | undefined;
  #failure: BlockError | undefined;

  constructor(context: OperationContext, request: BenchRequest, plan: BenchPlan, node: ImageNode) {
    this.#context = context;
    this.#plan = plan;
    this.#drain = request.drainOnFlush;
    this.#node = node;
    this.#slots = new Semaphore(plan.depth);
    this.#pattern = plan.write ? new Uint8Array(plan.bufferSize).fill(request.pattern) : undefined;
  }

  async run(): Promise<void> {
    const { count, flushInterval, stepSize, bufferSize } = this.#plan;
    const wrap = this.#node.size() - bufferSize;
    let { offset } = this.#plan;
    for (let sent = 0; sent < count && !this.#failure; sent++) {
      if (sent % BREATHE === BREATHE - 1) await this.#breathe();
      if (flushInterval > 0 && sent > 0 && sent % flushInterval === 0) await this.#flush();
      const entry = this.#slots.acquire();
      if (isPromise(entry)) await entry;
      this.#begin(this.#transfer(offset));
      // As the real tool does: the place where a request would just not fit any more counts as the start.
      offset = wrap > 0 ? (offset + stepSize) % wrap : 0;
    }
    await Promise.all(this.#running);
    if (this.#failure) throw this.#failure;
  }

  async #breathe(): Promise<void> {
    throwIfAborted(this.#context);
    await this.#context.services.wait(0);
  }

  /** Sends one request. */
  async #transfer(offset: number): Promise<void> {
    if (this.#pattern) return this.#node.write(offset, this.#pattern);
    const buffer = this.#spare.pop() ?? new Uint8Array(this.#plan.bufferSize);
    await this.#node.read(offset, buffer);
    this.#spare.push(buffer);
  }

  /** Makes what was sent durable: once it is answered, or without waiting for that. */
  async #flush(): Promise<void> {
    if (this.#drain) await Promise.all(this.#running);
    const entry = this.#slots.acquire();
    if (isPromise(entry)) await entry;
    this.#begin((async () => this.#node.flush())());
    if (this.#drain) await Promise.all(this.#running);
  }

  /** Follows a request that holds a slot. */
  #begin(request: Promise<void>): void {
    const done = request
      .catch((thrown: unknown) => {
        const error = asBlockError(thrown);
        this.#failure ??= error.reworded(`Failed request: ${error.strerror}`);
      })
      .finally(() => {
        this.#running.delete(done);
        this.#slots.release();
      });
    this.#running.add(done);
  }
}
