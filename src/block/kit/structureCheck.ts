/**
 * The books of a deep check: what is wrong, and which bytes of the file belong to what. Drivers tell what their
 * structures claim; overlaps, missing and unused bytes follow from that.
 */
import { BlockError } from '../../base/error.ts';
import type { CheckFindings } from '../capabilities.ts';
import type { Report } from '../report.ts';

/** Findings that are described one by one; more are only counted, so that a hostile image cannot fill a disk with text. */
const MAX_LINES = 10000;

/** Statistics over guest clusters. */
export type ClusterCounts = NonNullable<CheckFindings['clusters']>;

/** Collects what a deep check finds. Offsets and lengths are in bytes. */
export class StructureCheck {
  readonly #report: Report;
  readonly #fileSize: number;
  readonly #limit: number;
  readonly #claims = new Claims();
  #corruptions = 0;
  #leaks = 0;
  #lines = 0;

  /** @param limit where claims have to end, if not where the file ends: its last unit may be there only in part. */
  constructor(report: Report, fileSize: number, limit: number = fileSize) {
    this.#report = report;
    this.#fileSize = fileSize;
    this.#limit = limit;
  }

  /** Counts one error. */
  damage(what: string): void {
    this.#corruptions++;
    this.#say(`ERROR ${what}`);
  }

  /**
   * Records that a range of the file belongs to `owner`; bytes that the file does not have are an error.
   * @param owner what kind of thing it is; there are few kinds.
   * @param who which one of them, for messages.
   * @returns true if the file has all of the range.
   */
  claim(owner: string, offset: number, length: number, who: string = owner): boolean {
    if (offset + length > this.#limit) {
      this.damage(`${who} at ${hex(offset)} reaches beyond the end of the file`);
      return false;
    }
    if (length > 0) this.#claims.add(owner, offset, offset + length);
    return true;
  }

  /**
   * Compares all claims with each other, and ends the report.
   * @param unit bytes from which on unused space counts as leaked; undefined: space is not counted.
   */
  finish(unit: number | undefined, clusters?: ClusterCounts): CheckFindings {
    const end = this.#claims.sweep({
      overlap: (start, stop, a, b) => this.damage(`bytes ${hex(start)} to ${hex(stop)} are used twice: ${a}, ${b}`),
      gap: (start, stop) => this.#leak(start, stop, unit),
    });
    this.#leak(end, this.#fileSize, unit);
    if (this.#lines > MAX_LINES) this.#tell(`(${this.#lines - MAX_LINES} more)`);
    return {
      corruptions: this.#corruptions,
      leaks: this.#leaks,
      checkErrors: 0,
      corruptionsFixed: 0,
      leaksFixed: 0,
      imageEndOffset: end,
      ...(clusters ? { clusters } : {}),
    };
  }

  #leak(start: number, stop: number, unit: number | undefined): void {
    if (unit === undefined || stop - start < unit) return;
    this.#leaks += Math.floor((stop - start) / unit);
    this.#say(`Leaked bytes ${hex(start)} to ${hex(stop)}`);
  }

  #say(line: string): void {
    if (++this.#lines <= MAX_LINES) this.#tell(line);
  }

  #tell(text: string): void {
    this.#report({ severity: 'finding', text });
  }
}

/** What a {@link Claims.sweep} meets. */
interface SweepVisitor {
  overlap(start: number, stop: number, owner: string, other: string): void;
  gap(start: number, stop: number): void;
}

/** Ranges with owners. Those that follow each other are merged, so that well-ordered images need little memory. */
class Claims {
  readonly #starts: number[] = [];
  readonly #stops: number[] = [];
  readonly #owners: number[] = [];
  readonly #names: string[] = [];

  add(owner: string, start: number, stop: number): void {
    let name = this.#names.indexOf(owner);
    if (name < 0) name = this.#names.push(owner) - 1;
    const last = this.#stops.length - 1;
    if (this.#stops[last] === start && this.#owners[last] === name) {
      this.#stops[last] = stop;
      return;
    }
    this.#starts.push(start);
    this.#stops.push(stop);
    this.#owners.push(name);
  }

  /** Goes through all ranges in the order of the file; returns the end of the last. */
  sweep(visitor: SweepVisitor): number {
    const starts = this.#starts;
    const order = Uint32Array.from(starts.keys()).sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));
    let end = 0;
    let before = 0;
    for (const index of order) {
      const start = starts[index] ?? 0;
      const stop = this.#stops[index] ?? 0;
      if (start > end) visitor.gap(end, start);
      if (start < end) visitor.overlap(start, Math.min(stop, end), this.#name(before), this.#name(index));
      if (stop > end) {
        end = stop;
        before = index;
      }
    }
    return end;
  }

  #name(index: number): string {
    return this.#names[this.#owners[index] ?? 0] ?? '';
  }
}

/** An offset for people. */
export function hex(offset: number): string {
  return `0x${offset.toString(16)}`;
}

/** Bytes that are decoded at a time. */
const BATCH = 4194304;

/** What a {@link TrialDecoder} does with things of type `T`, decoded to an `R` for each batch. */
export interface Trial<T, R> {
  /** Throws kind `io` if one of them is damaged. */
  decode(things: readonly T[]): Promise<R>;
  /** Is called for batches that can be decoded, in order. */
  decoded?(result: R): void;
  /** Is called for each thing that is damaged, in order. */
  damaged(thing: T): void;
}

/** Decodes compressed things on trial, many at a time, and tells which of them are damaged. */
export class TrialDecoder<T, R> {
  readonly #trial: Trial<T, R>;
  #waiting: T[] = [];
  #bytes = 0;

  constructor(trial: Trial<T, R>) {
    this.#trial = trial;
  }

  /** Decodes a thing of `bytes` decoded bytes now or later. */
  async add(thing: T, bytes: number): Promise<void> {
    this.#waiting.push(thing);
    this.#bytes += bytes;
    if (this.#bytes >= BATCH) await this.finish();
  }

  /** Decodes what is left. */
  async finish(): Promise<void> {
    const things = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    await this.#try(things);
  }

  async #try(things: readonly T[]): Promise<void> {
    const [only, ...more] = things;
    if (only === undefined) return;
    let result: R;
    try {
      result = await this.#trial.decode(things);
    } catch (error) {
      if (!(error instanceof BlockError) || error.kind !== 'io') throw error;
      if (more.length === 0) return this.#trial.damaged(only);
      const middle = things.length >>> 1;
      await this.#try(things.slice(0, middle));
      return this.#try(things.slice(middle));
    }
    this.#trial.decoded?.(result);
  }
}
