/**
 * Worker threads for work that takes long enough to be worth a message.
 *
 * Jobs wait in one queue. Workers take them as they become free, and so does the main thread: with its help one worker
 * less is needed, and nothing waits for workers to start. Workers start only once the work seen so far would have
 * paid for them. They keep the process alive only while they work, and end when there was nothing to do for a while.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type * as WorkerThreads from 'node:worker_threads';
import type { Transferable, Worker } from 'node:worker_threads';
import { isPromise } from '../../base/async.ts';
import { asBlockError, BlockError, type ErrorKind } from '../../base/error.ts';
import { isAddressSpaceLimited, roomForWorkers } from './limits.ts';
import { otherRuntime } from './runtime.ts';
import { type ArgumentOf, loadTask, type ResultOf, type TaskName } from './tasks.ts';

/** A job on its way to a worker. */
export interface ToWorker {
  readonly id: number;
  readonly name: TaskName;
  readonly argument: unknown;
}

/** What a worker says: that it is there, or how a job went. */
export type FromWorker =
  | { readonly ready: true }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly kind: ErrorKind; readonly message: string } };

/** One piece of work. */
export interface JobRequest<N extends TaskName> {
  readonly name: N;
  /** For the main thread: may refer to any memory. */
  readonly argument: ArgumentOf<N>;
  /** Estimated duration in milliseconds; some 2 to 5 are best, as the main thread is busy that long with one. */
  readonly cost: number;
  /** The argument for a worker. Views on shared memory pass as they are, other memory is copied or transferred. */
  forWorker(transfer: Transferable[]): ArgumentOf<N>;
}

/** Settings of a {@link WorkerPool}. */
export interface PoolOptions {
  /** Threads that work at once, the main thread among them; the default is the number of cores, at most 16. */
  readonly threads?: number;
  /** The built `worker.js`; the default is the one beside this module. Without any, the main thread does it all. */
  readonly worker?: string | undefined;
  /** Milliseconds of work, seen in total, for which a worker is started. */
  readonly startAfter?: number;
  /** Milliseconds without work after which the workers end. */
  readonly restAfter?: number;
}

interface Job {
  readonly request: JobRequest<TaskName>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: BlockError) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Job>;
  ready: boolean;
}

const MAX_THREADS = 16;
/** MiB of address space for machine code, where that is limited; V8 reserves 512 otherwise. */
const SMALL_CODE_RANGE = 32;
/** Jobs given to a worker ahead of time, so that it need not wait for the answer to the last one. */
const DEPTH = 2;
/** About half of what it takes to start a worker: it starts on another core while this one goes on. */
const START_AFTER = 12;
/** Long against the time that it takes to start a worker, short against the life of a service. */
const REST_AFTER = 2000;

/** Path of the built worker: beside the bundle or one folder above its chunks; undefined when running from sources. */
function findWorker(): string | undefined {
  if (!import.meta.url.startsWith('file:') || import.meta.url.endsWith('.ts')) return undefined;
  for (const name of ['./worker.js', '../worker.js']) {
    const path = fileURLToPath(new URL(name, import.meta.url));
    if (existsSync(path)) return path;
  }
  return undefined;
}

/** `node:worker_threads`, loaded when the first worker starts: most commands answer in less time than that takes. */
function workerThreads(): typeof WorkerThreads {
  return createRequire(import.meta.url)('node:worker_threads') as typeof WorkerThreads;
}

/**
 * Tells the start script (scripts/lib/start.cjs), if it was there, whether threads are starting: it sets V8 up for short
 * commands, and a thread that starts under other settings than Node's own takes twice as long.
 */
function areStarting(threads: boolean): void {
  const script = globalThis as { readonly [key: symbol]: ((threads: boolean) => void) | undefined };
  script[Symbol.for('qimg.startingThreads')]?.(threads);
}

/** A lazily started pool of worker threads. */
export class WorkerPool {
  readonly #queue: Job[] = [];
  readonly #threads: Thread[] = [];
  readonly #maxWorkers: number;
  readonly #startAfter: number;
  readonly #restAfter: number;
  #worker: string | URL | undefined;
  #looked: boolean;
  #nextId = 0;
  #seen = 0;
  #mainBusy = false;
  #closed = false;
  #rest: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions = {}) {
    this.#maxWorkers = Math.max(0, (options.threads ?? Math.min(MAX_THREADS, availableParallelism())) - 1);
    this.#startAfter = options.startAfter ?? START_AFTER;
    this.#restAfter = options.restAfter ?? REST_AFTER;
    this.#worker = options.worker;
    this.#looked = 'worker' in options;
  }

  /** Number of worker threads that were started. */
  get workers(): number {
    return this.#threads.length;
  }

  /**
   * Does the work on some thread. Rejects with the task's `BlockError`, or kind `aborted` after {@link close}. The
   * memory that the argument refers to is in use until then.
   */
  run<N extends TaskName>(request: JobRequest<N>): Promise<ResultOf<N>> {
    if (this.#closed) return Promise.reject(closedError());
    this.#seen += request.cost;
    clearTimeout(this.#rest);
    this.#rest = undefined;
    return new Promise((resolve, reject) => {
      this.#queue.push({
        request,
        resolve: resolve as (result: unknown) => void,
        reject,
      });
      this.#startWorkers();
      this.#pump();
    });
  }

  /** Stops the workers; jobs that are not done are rejected with kind `aborted`. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#rest);
    for (const job of this.#queue.splice(0)) job.reject(closedError());
    await Promise.all(this.#threads.splice(0).map((thread) => this.#stop(thread)));
  }

  /** Ends the workers at once instead of after a while; does nothing while there is work. */
  async rest(): Promise<void> {
    if (this.#queue.length === 0 && this.#threads.every(({ jobs }) => jobs.size === 0)) await this.#endWorkers();
  }

  async #stop(thread: Thread): Promise<void> {
    const jobs = [...thread.jobs.values()];
    thread.jobs.clear();
    await thread.worker.terminate();
    // Only now is the memory of their arguments free.
    for (const job of jobs) job.reject(closedError());
  }

  #startWorkers(): void {
    const wanted = Math.min(this.#maxWorkers, Math.floor(this.#seen / this.#startAfter));
    if (this.#threads.length >= wanted) return;
    if (!this.#looked) {
      this.#looked = true;
      this.#worker = (otherRuntime()?.workerFile ?? findWorker)();
    }
    while (this.#worker !== undefined && this.#threads.length < wanted) {
      // A worker for which there is no address space would end the program.
      if (roomForWorkers() < 1) this.#worker = undefined;
      else this.#start(this.#worker);
    }
  }

  #start(path: string | URL): void {
    let worker: Worker;
    try {
      const threads = workerThreads();
      areStarting(true);
      worker = new threads.Worker(path, {
        env: threads.SHARE_ENV,
        execArgv: [],
        trackUnmanagedFds: false,
        ...(isAddressSpaceLimited() ? { resourceLimits: { codeRangeSizeMb: SMALL_CODE_RANGE } } : {}),
      });
    } catch {
      this.#worker = undefined;
      return;
    }
    const thread: Thread = { worker, jobs: new Map(), ready: false };
    this.#threads.push(thread);
    worker.on('message', (message: FromWorker) => this.#receive(thread, message));
    worker.on('error', (error) => this.#lose(thread, error));
    worker.on('exit', () => this.#lose(thread, new Error('the thread ended')));
    worker.unref();
  }

  #receive(thread: Thread, message: FromWorker): void {
    if ('ready' in message) {
      thread.ready = true;
      if (this.#threads.every(({ ready }) => ready)) areStarting(false);
    } else {
      const job = thread.jobs.get(message.id);
      thread.jobs.delete(message.id);
      if (thread.jobs.size === 0) thread.worker.unref();
      if ('error' in message) job?.reject(new BlockError(message.error.kind, message.error.message));
      else job?.resolve(message.result);
    }
    this.#pump();
  }

  /** A worker is gone. One that never worked is done without; what another one was doing is lost. */
  #lose(thread: Thread, cause: unknown): void {
    const index = this.#threads.indexOf(thread);
    if (index < 0) return;
    this.#threads.splice(index, 1);
    this.#worker = undefined;
    for (const job of thread.jobs.values()) {
      job.reject(new BlockError('internal', 'a worker thread stopped unexpectedly', { cause }));
    }
    thread.jobs.clear();
    this.#pump();
  }

  #pump(): void {
    this.#handOut();
    if (this.#isIdle) this.#rest ??= setTimeout(() => void this.#endWorkers(), this.#restAfter).unref();
  }

  #handOut(): void {
    for (let depth = 1; depth <= DEPTH; depth++) {
      for (const thread of this.#threads) {
        if (!thread.ready || thread.jobs.size >= depth) continue;
        const job = this.#queue.shift();
        if (!job) return;
        this.#post(thread, job);
      }
    }
    if (this.#queue.length > 0 && !this.#mainBusy) {
      this.#mainBusy = true;
      // Between two jobs the main thread sees to its input and output.
      setImmediate(() => this.#help());
    }
  }

  get #isIdle(): boolean {
    const { length } = this.#threads;
    return length > 0 && this.#queue.length === 0 && this.#threads.every(({ ready, jobs }) => ready && jobs.size === 0);
  }

  /** Ends the workers; what comes later counts from the start again. */
  async #endWorkers(): Promise<void> {
    clearTimeout(this.#rest);
    this.#rest = undefined;
    this.#seen = 0;
    await Promise.all(this.#threads.splice(0).map((thread) => this.#stop(thread)));
  }

  #post(thread: Thread, job: Job): void {
    const id = this.#nextId++;
    const transfer: Transferable[] = [];
    try {
      const message: ToWorker = { id, name: job.request.name, argument: job.request.forWorker(transfer) };
      thread.worker.postMessage(message, transfer);
    } catch (thrown) {
      job.reject(asBlockError(thrown));
      return;
    }
    if (thread.jobs.size === 0) thread.worker.ref();
    thread.jobs.set(id, job);
  }

  /** Does one job on this thread. */
  #help(): void {
    const job = this.#queue.shift();
    if (!job) {
      this.#mainBusy = false;
      return;
    }
    const next = (): void => {
      this.#mainBusy = false;
      this.#pump();
    };
    inThread(job).then(next, next);
  }
}

async function inThread(job: Job): Promise<void> {
  try {
    const task = loadTask(job.request.name);
    const result = (isPromise(task) ? await task : task).run(job.request.argument);
    job.resolve(isPromise(result) ? await result : result);
  } catch (thrown) {
    job.reject(asBlockError(thrown));
  }
}

function closedError(): BlockError {
  return new BlockError('aborted', 'the worker threads were closed');
}

/** `bytes` for a worker: as they are on shared memory, else a copy that moves there. */
export function forOtherThread(bytes: Uint8Array, transfer: Transferable[]): Uint8Array {
  if (isShared(bytes)) return bytes;
  // Not slice(), which for a Buffer is a view on the very memory that would be transferred.
  const copy = new Uint8Array(bytes);
  transfer.push(copy.buffer);
  return copy;
}

/** True if `bytes` lie in memory that all threads see. */
export function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer instanceof SharedArrayBuffer;
}
