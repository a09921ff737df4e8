/**
 * The copy itself: several pieces are read (and coded) at the same time, and stored one after the other in the order
 * of their offsets. Memory is bounded by the number of pieces in flight.
 */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import type { BlockError } from '../../base/error.ts';
import { Breath, InFlight, SpareBuffers, throwIfStopped } from '../../base/inflight.ts';
import { alignDown, MiB } from '../../base/offset.ts';
import type { BufferPool } from '../../base/inflight.ts';
import type { Services } from '../../block/services.ts';
import type { Pace } from './pace.ts';
import type { Piece, Planner } from './plan.ts';
import { failed, firstUnreadable, readSegments, salvageSegments } from './reading.ts';
import type { PieceStore, Ready } from './store.ts';
import { Window } from './window.ts';

/** Pieces in flight unless memory says otherwise: enough to keep all cores busy with coding, and slow disks with requests. */
const DEPTH = 16;
/**
 * Those among them that are only moved, as long as reading and writing are fast: few, so that the bytes are still in the
 * processor's cache when they are written.
 */
const MOVED_DEPTH = 4;
/** Most bytes in buffers. */
const BUFFER_BUDGET = 64 * MiB;
/** Pieces after which other events get a chance, such as a request to stop. */
const BREATHE = 512;

/** How a copy runs. */
export interface PipelineOptions {
  /** Longest data piece in bytes. */
  readonly chunk: number;
  readonly services: Pick<Services, 'buffers' | 'now' | 'wait'>;
  /** Most pieces in flight; default as many as pay. */
  readonly depth?: number;
  /** Pieces are stored when they are read, in whatever order that is. */
  readonly outOfOrder?: boolean;
  readonly pace?: Pace;
  readonly signal?: AbortSignal;
  /** Called with the offset up to which the target is complete; the copy waits for it. */
  onProgress?(done: number): MaybePromise<void>;
  /** Called for each sector that cannot be read, which then becomes zeroes; absent: the copy fails. */
  onBadSector?(offset: number, error: BlockError): void;
}

/** Copies everything that `planner` hands out into `store`. The first failure ends the copy, once all reads are back. */
export async function runPipeline(planner: Planner, store: PieceStore, options: PipelineOptions): Promise<void> {
  await new Pipeline(store, options).run(planner);
}

/** A piece's place in the order of storing. */
class Turn {
  /** Resolves when the next piece may be stored. */
  readonly begun: Promise<void>;
  /** Lets the next piece begin. */
  begin!: () => void;

  constructor() {
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
  }
}

/** True for pieces that are read from where every request takes its time. */
function isDistant(piece: Piece): boolean {
  return piece.kind === 'data' && piece.segments.some(({ storage }) => storage?.limits.distant === true);
}

class Pipeline {
  readonly #store: PieceStore;
  readonly #options: PipelineOptions;
  readonly #flight: InFlight;
  readonly #moved: Window;
  readonly #writers: Window;
  readonly #buffers: SpareBuffers;
  readonly #breath: Breath;
  #done = 0;

  constructor(store: PieceStore, options: PipelineOptions) {
    this.#store = store;
    this.#options = options;
    const affordable = Math.max(2, Math.floor(BUFFER_BUDGET / options.chunk));
    const depth = Math.min(options.depth ?? DEPTH, affordable);
    this.#moved = new Window(MOVED_DEPTH, depth, options.services);
    this.#writers = new Window(store.writers, store.codes ? store.writers : depth, options.services);
    this.#flight = new InFlight(depth);
    this.#buffers = new SpareBuffers(options.chunk, options.services.buffers);
    this.#breath = new Breath(BREATHE, options.services, options.signal);
  }

  async run(planner: Planner): Promise<void> {
    /** The last piece handed out: resolves when its storing has begun. */
    let begun: Promise<void> = Promise.resolve();
    const flight = this.#flight;
    try {
      while (!flight.failed) {
        // The slot comes first: with a depth of 1 nothing is looked at before the last piece is done.
        const entry = flight.enter();
        if (isPromise(entry)) await entry;
        const piece = await this.#nextNeeded(planner);
        if (!piece || flight.failed) break;
        if (isDistant(piece)) this.#moved.widen();
        if (!this.#isCoded(piece)) {
          const room = this.#moved.acquire();
          if (isPromise(room)) await room;
        }
        const before = this.#options.outOfOrder ? Promise.resolve() : begun;
        const turn = new Turn();
        begun = turn.begun;
        void flight.follow(this.#finish(piece, before, turn, this.#prepare(piece)));
      }
    } catch (error) {
      flight.fail(error);
    }
    await flight.finish();
  }

  /** True for pieces that the processor has work with. */
  #isCoded(piece: Piece): boolean {
    return piece.kind === 'data' && (this.#store.codes || piece.segments.some(({ coded }) => coded));
  }

  /** The next piece that changes something. */
  async #nextNeeded(planner: Planner): Promise<Piece | undefined> {
    for (;;) {
      const breath = this.#breath.step();
      if (isPromise(breath)) await breath;
      const next = planner.next();
      const piece = isPromise(next) ? await next : next;
      if (!piece || this.#store.needs(piece)) return piece;
    }
  }

  /** Reads and codes one piece. */
  async #prepare(piece: Piece): Promise<Ready> {
    if (piece.kind !== 'data' || this.#store.copiesDirectly(piece)) return { piece };
    const buffer = this.#buffers.acquire();
    const bytes = buffer.subarray(0, piece.length);
    try {
      const since = this.#moved.now();
      const done = this.#read(piece, bytes);
      if (isPromise(done)) {
        await done;
        if (!this.#isCoded(piece)) this.#moved.look(since, piece.length);
      }
      const ready = this.#store.prepare(piece, bytes);
      return { ...(isPromise(ready) ? await ready : ready), buffer };
    } catch (error) {
      this.#buffers.release(buffer);
      throw error;
    }
  }

  #read(piece: Piece & { kind: 'data' }, bytes: Uint8Array): MaybePromise<void> {
    const report = this.#options.onBadSector?.bind(this.#options);
    if (report) return salvageSegments(piece.segments, bytes, piece.offset, report);
    let place = piece.length;
    const note = (at: number): void => void (place = Math.min(place, at));
    const locate = async (error: unknown): Promise<never> => {
      const [first, next] = await firstUnreadable(piece.segments, bytes, piece.offset);
      const hint = next && ({ about: 'also', message: failed('read', next.error, next.offset).message } as const);
      // What can be read the second time failed where the first time was.
      throw failed('read', first?.error ?? error, first?.offset ?? piece.offset + place, hint);
    };
    try {
      const done = readSegments(piece.segments, bytes, note);
      return isPromise(done) ? done.catch(locate) : done;
    } catch (error) {
      return locate(error);
    }
  }

  /**
   * Stores a piece when it is ready and it is its turn. Never rejects: the first failure is kept.
   * @param before resolves when the piece before has its place.
   * @param own is told when this piece has.
   */
  async #finish(piece: Piece, before: Promise<void>, own: Turn, prepared: Promise<Ready>): Promise<void> {
    let ready: Ready | undefined;
    try {
      [ready] = await Promise.all([prepared, before]);
      const turn = this.#writers.acquire();
      if (isPromise(turn)) await turn;
      try {
        if (this.#flight.failed) return;
        throwIfStopped(this.#options.signal);
        await this.#options.pace?.take(piece.length, this.#options.signal);
        const since = this.#writers.now();
        await this.#store.store(ready, () => own.begin());
        // A piece that waits to be written is one that was read.
        if (this.#writers.look(since, piece.length)) this.#moved.widen();
        await this.#report(piece.offset + piece.length);
      } finally {
        this.#writers.release();
      }
    } catch (error) {
      await before;
      this.#flight.fail(error);
    } finally {
      own.begin();
      if (ready?.buffer) this.#buffers.release(ready.buffer);
      if (!this.#isCoded(piece)) this.#moved.release();
    }
  }

  /** Progress never goes back, although the last pieces may be completed in any order. */
  #report(done: number): MaybePromise<void> {
    if (done <= this.#done) return;
    this.#done = done;
    return this.#options.onProgress?.(done);
  }
}

/**
 * Piece length for a copy.
 * @param unit pieces have to consist of whole units.
 * @param bounds shortest useful length (the area that is searched for zeroes), and longest one that pays.
 */
export function chunkFor(
  buffers: BufferPool,
  unit: number,
  { least = 1, most = Number.POSITIVE_INFINITY }: { readonly least?: number | undefined; readonly most?: number } = {},
): number {
  const size = Math.max(Math.min(buffers.size, most), least, unit);
  return alignDown(size, unit);
}
