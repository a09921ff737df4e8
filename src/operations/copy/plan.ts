/** From runs of the source to the pieces in which they are copied. */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { alignDown } from '../../base/offset.ts';
import type { Storage } from '../../storage/storage.ts';
import type { SharedPlace, Sharing } from './sharing.ts';
import type { RunSource, SourceRun } from './source.ts';

/** Part of a piece: bytes to read, or zeroes if there is no storage. */
export interface Segment {
  readonly length: number;
  readonly storage?: Storage;
  readonly offset?: number;
  /** The bytes have to be decoded. */
  readonly coded?: boolean;
  /** They are plain bytes that are read through a filter. */
  readonly filtered?: boolean;
}

/** One step of a copy, in the order of the target's offsets. */
export type Piece =
  | {
      readonly kind: 'data';
      readonly offset: number;
      readonly length: number;
      /** Together as long as the piece. */
      readonly segments: readonly Segment[];
      /** The target can share all of it with the source. */
      readonly shared?: boolean;
    }
  | {
      /** Zeroes, or (`skip`) content that the target's backing image has. */
      readonly kind: 'zero' | 'skip';
      readonly offset: number;
      readonly length: number;
    };

/** How a source is cut. */
export interface PlanOptions {
  /** Longest data piece in bytes; pieces end at multiples of it. */
  readonly chunk: number;
  /** Pieces consist of whole units (the compressor's); 1 if that does not matter. Divides `chunk`. */
  readonly unit: number;
  /** Offset from which on pieces consist of whole units. Default 0. */
  readonly unitFrom?: number;
  /** Each run is cut on its own, from its start on, unless units are whole. */
  readonly apart?: boolean;
  /** Zeroes are copied as if they were data. */
  readonly zeroesAsData?: boolean;
  /** What is shared instead of being copied, in pieces of their own. */
  readonly sharing?: Sharing;
  /** From here on the target's backing image has nothing, so that `below` has to be copied. Default: no limit. */
  readonly belowEnd?: number;
}

/** Longest piece of zeroes, so that progress is seen and a stop is noticed. */
const ZERO_STEP = 8 * 1024 ** 3;

/** Hands out the pieces of a copy one after the other. */
export class Planner {
  readonly #source: RunSource;
  readonly #options: PlanOptions;
  #at = 0;
  /** The run that contains `#at`, from its start on. */
  #run: SourceRun | undefined;
  #runStart = 0;

  constructor(source: RunSource, options: PlanOptions) {
    this.#source = source;
    this.#options = options;
  }

  /** The next piece; undefined at the end. */
  next(): MaybePromise<Piece | undefined> {
    if (this.#at >= this.#source.size) return undefined;
    const { sharing } = this.#options;
    return sharing ? this.#share(sharing, this.#at, []) : this.#collect(this.#at, []);
  }

  /** Goes on with a piece that can be shared, which began at `start`; if none can begin there, with any other. */
  #share(sharing: Sharing, start: number, segments: Segment[]): MaybePromise<Piece | undefined> {
    const end = Math.min(this.#source.size, alignDown(start, sharing.chunk) + sharing.chunk);
    while (this.#at < end) {
      const run = this.#lookUp();
      if (isPromise(run)) {
        return run.then(() => this.#share(sharing, start, segments));
      }
      const left = this.#runStart + run.length - this.#at;
      const unit = this.#unit;
      const place = sharing.placeOf(run);
      if (!place || (run.kind !== 'data' && this.#at % unit === 0 && this.#wholeUnits(left) > 0)) break;
      const reach = run.kind === 'data' ? end : Math.min(end, alignDown(this.#at, unit) + unit);
      this.#append(segments, place, Math.min(left, reach - this.#at));
    }
    if (segments.length === 0) return this.#collect(start, segments);
    return { kind: 'data', offset: start, length: this.#at - start, segments, shared: true };
  }

  /** Appends a part of the current run to the last segment, if it follows that. */
  #append(segments: Segment[], { storage, offset }: SharedPlace, length: number): void {
    const at = offset + (this.#at - this.#runStart);
    const last = segments.at(-1);
    const follows = last?.storage === storage && (last.offset ?? 0) + last.length === at;
    if (last && follows) segments[segments.length - 1] = { ...last, length: last.length + length };
    else segments.push({ length, storage, offset: at });
    this.#at += length;
  }

  /** Goes on with a data piece that began at `start` and has `segments` already. */
  #collect(start: number, segments: Segment[]): MaybePromise<Piece | undefined> {
    const { chunk, apart = false, sharing } = this.#options;
    const single = apart && this.#options.unit === 1;
    const end = Math.min(this.#source.size, (single ? start : alignDown(start, chunk)) + chunk);
    while (this.#at < end) {
      const run = this.#lookUp();
      if (isPromise(run)) {
        return run.then(() => this.#collect(start, segments));
      }
      const left = this.#runStart + run.length - this.#at;
      const unit = this.#unit;
      if (run.kind !== 'data' && this.#at % unit === 0) {
        const whole = this.#wholeUnits(left);
        if (whole > 0) return segments.length > 0 ? this.#piece(start, segments) : this.#bare(run.kind, whole);
      }
      if (segments.length > 0 && this.#at % unit === 0 && sharing?.placeOf(run)) break;
      if (run.bad && unit === 1) {
        // A piece of its own, so that what is said about it stays together.
        if (segments.length === 0) this.#take(segments, run, Math.min(left, end - this.#at));
        return this.#piece(start, segments);
      }
      // Up to the end of the unit only, if the next one may be left out.
      const reach = run.kind === 'data' ? end : Math.min(end, alignDown(this.#at, unit) + unit);
      this.#take(segments, run, Math.min(left, reach - this.#at));
      if (single) break;
    }
    return this.#piece(start, segments);
  }

  /** The run at the current offset. */
  #lookUp(): MaybePromise<SourceRun> {
    const known = this.#run;
    if (known && this.#at < this.#runStart + known.length) return known;
    return andThen(this.#source.at(this.#at, this.#source.size - this.#at), (found) => {
      this.#runStart = this.#at;
      this.#run = this.#adjust(found);
      return this.#run;
    });
  }

  /** What the options make of a run. */
  #adjust(run: SourceRun): SourceRun {
    const end = this.#options.belowEnd;
    if (run.kind === 'zero') {
      // Behind the end of the backing image nothing has to be hidden, and the real tool leaves zeroes out at any rate.
      if (!this.#options.zeroesAsData || (end !== undefined && this.#at >= end)) return run;
      const length = end === undefined ? run.length : Math.min(run.length, end - this.#at);
      return { ...run, length, kind: 'data' };
    }
    if (run.kind !== 'below' || end === undefined || this.#at + run.length <= end) return run;
    if (this.#at < end) return { ...run, length: end - this.#at };
    return run.zero ? this.#adjust({ length: run.length, kind: 'zero' }) : { ...run, kind: 'data' };
  }

  /** The unit at the current offset. */
  get #unit(): number {
    return this.#at < (this.#options.unitFrom ?? 0) ? 1 : this.#options.unit;
  }

  /** Bytes of `left` that can be left out as whole units; the last unit of the source may be short. */
  #wholeUnits(left: number): number {
    const length = Math.min(left, ZERO_STEP);
    return this.#at + length === this.#source.size ? length : alignDown(length, this.#unit);
  }

  #bare(kind: 'zero' | 'below', length: number): Piece {
    const offset = this.#at;
    this.#at += length;
    return { kind: kind === 'zero' ? 'zero' : 'skip', offset, length };
  }

  #take(segments: Segment[], run: SourceRun, length: number): void {
    const { storage, offset } = run;
    if (storage && offset !== undefined) {
      const coded = run.status?.special === true;
      const filtered = !coded && run.status?.through !== undefined;
      segments.push({ length, storage, offset: offset + (this.#at - this.#runStart), coded, filtered });
    } else segments.push({ length });
    this.#at += length;
  }

  #piece(offset: number, segments: readonly Segment[]): Piece {
    return { kind: 'data', offset, length: this.#at - offset, segments };
  }
}
