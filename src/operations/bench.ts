/** `bench`: times a run of requests. */
import { isPromise } from '../base/async.ts';
import { asBlockError, type BlockError, invalidArgument } from '../base/error.ts';
import { Breath, InFlight, SpareBuffers } from '../base/inflight.ts';
import { identityOf } from '../block/graph/bottom.ts';
import type { ImageNode } from '../block/node/node.ts';
import { secondsOf } from '../block/services.ts';
import type { OperationContext } from './context.ts';
import type { BenchRequest } from './requests.ts';
import { BENCH_DEPTH, imageName, MAX_COUNT, oneOf, wholeNumber } from './shorthand.ts';
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
  const { forceShare, cache = 'writeback', image } = request;
  const plan = planOf(request);
  return withSource(context, image, { writable: plan.write, forceShare, cache }, async (node) => {
    checkAio(request, node);
    observer.onStart?.(plan);
    const start = secondsOf(context.services);
    await new Run(context, request, plan, node).run();
    return { ...plan, seconds: Math.max(0, secondsOf(context.services) - start) };
  });
}

/** What the request asks for, within the limits of the program. */
function planOf(request: BenchRequest): BenchPlan {
  const { write = false, offset = 0, bufferSize = 4096, stepSize = 0 } = request;
  oneOf('aio', request.aio, ['threads', 'native', 'io_uring']);
  wholeNumber('pattern byte', request.pattern ?? 0, 0, 255);
  return {
    write,
    count: wholeNumber('request count', request.count ?? 75000, 1, MAX_COUNT),
    bufferSize: wholeNumber('buffer size', bufferSize, 1, MAX_COUNT),
    depth: wholeNumber('queue depth', request.depth ?? BENCH_DEPTH, 1, MAX_COUNT),
    offset: wholeNumber('offset', offset, 0),
    stepSize: wholeNumber('step size', stepSize, 0, MAX_COUNT) || bufferSize,
    flushInterval: wholeNumber('flush interval', request.flushInterval ?? 0, 0, MAX_COUNT),
  };
}

/** Requests are sent the same way whatever is asked for, but scripts learn what would not work: with files, that is. */
function checkAio({ aio, cache = 'writeback', image }: BenchRequest, node: ImageNode): void {
  if (
    aio !== 'native' ||
    identityOf(node) === undefined ||
    cache === 'none' ||
    cache === 'off' ||
    cache === 'directsync'
  )
    return;
  throw invalidArgument(
    `Could not open '${imageName(image)}': aio=native was specified, but it requires cache.direct=on, which was not ` +
      'specified.',
  );
}

/** One run with the image open. */
class Run {
  readonly #plan: BenchPlan;
  readonly #drain: boolean;
  readonly #node: ImageNode;
  readonly #flight: InFlight;
  readonly #breath: Breath;
  /** Memory of requests that are not under way. */
  readonly #buffers: SpareBuffers;
  /** What is written. */
  readonly #pattern: Uint8Array | undefined;

  constructor({ services, signal }: OperationContext, request: BenchRequest, plan: BenchPlan, node: ImageNode) {
    this.#plan = plan;
    this.#drain = request.drainOnFlush ?? true;
    this.#node = node;
    this.#flight = new InFlight(plan.depth);
    this.#breath = new Breath(BREATHE, services, signal);
    this.#buffers = new SpareBuffers(plan.bufferSize);
    this.#pattern = plan.write ? new Uint8Array(plan.bufferSize).fill(request.pattern ?? 0) : undefined;
  }

  async run(): Promise<void> {
    const { count, flushInterval, stepSize, bufferSize } = this.#plan;
    const wrap = this.#node.size() - bufferSize;
    let { offset } = this.#plan;
    for (let sent = 0; sent < count && !this.#flight.failed; sent++) {
      const breath = this.#breath.step();
      if (isPromise(breath)) await breath;
      if (flushInterval > 0 && sent > 0 && sent % flushInterval === 0) await this.#flush();
      const entry = this.#flight.enter();
      if (isPromise(entry)) await entry;
      void this.#flight.follow(this.#transfer(offset));
      // As the real tool does: the place where a request would just not fit any more counts as the start.
      offset = wrap > 0 ? (offset + stepSize) % wrap : 0;
    }
    await this.#flight.finish();
  }

  /** Sends one request. */
  async #transfer(offset: number): Promise<void> {
    try {
      if (this.#pattern) return await this.#node.write(offset, this.#pattern);
      const buffer = this.#buffers.acquire();
      await this.#node.read(offset, buffer);
      this.#buffers.release(buffer);
    } catch (thrown) {
      throw failedRequest(thrown);
    }
  }

  /** Makes what was sent durable: once it is answered, or without waiting for that. */
  async #flush(): Promise<void> {
    if (this.#drain) await this.#flight.idle();
    const entry = this.#flight.enter();
    if (isPromise(entry)) await entry;
    void this.#flight.follow(this.#sync());
    if (this.#drain) await this.#flight.idle();
  }

  async #sync(): Promise<void> {
    try {
      await this.#node.flush();
    } catch (thrown) {
      throw failedRequest(thrown);
    }
  }
}

function failedRequest(thrown: unknown): BlockError {
  const error = asBlockError(thrown);
  return error.reworded(`Failed request: ${error.strerror}`);
}
