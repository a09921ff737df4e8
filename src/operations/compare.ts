/** `compare`: whether two images have the same guest content. */
import { verifyBelow } from '../block/graph/bottom.ts';
import { andThen, isPromise, type MaybePromise } from '../base/async.ts';
import { asBlockError, BlockError, isFinal } from '../base/error.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { alignDown, SECTOR } from '../base/offset.ts';
import { firstDifference, isZero } from '../base/zero.ts';
import { identityOf, quickTransfer } from '../block/graph/bottom.ts';
import { NamedNodes } from '../block/graph/namedNodes.ts';
import { ImageNode } from '../block/node/node.ts';
import type { BufferPool } from '../base/inflight.ts';
import type { OperationContext } from './context.ts';
import { CompareSteps } from './compareSteps.ts';
import { type PairRun, pairAt, readBoth, readOne } from './copy/pair.ts';
import { firstUnreadable } from './copy/reading.ts';
import { CopySource, type SourceRun } from './copy/source.ts';
import type { CompareRequest, ImageInput } from './requests.ts';
import { imageName } from './shorthand.ts';
import { withSource } from './source.ts';

/** Result of {@link compare}. */
export type CompareResult =
  | {
      readonly kind: 'identical';
      /** One image is larger; what it has beyond the other is zeroes. */
      readonly sizesDiffer: boolean;
    }
  | {
      readonly kind: 'different';
      /** `content`: other bytes; `status`: other allocation; `size`: other sizes (the last two in strict mode only). */
      readonly what: 'content' | 'status' | 'size';
      /** Sector in bytes; 0 for sizes. */
      readonly offset: number;
      /** The difference lies beyond the end of one image. */
      readonly sizesDiffer: boolean;
    };

/** Pairs of areas that are read at the same time: few, so that they are still in the processor's cache when compared. */
const DEPTH = 3;

/** What is told while images are compared. */
export interface CompareObserver {
  /** What both images have is equal, and one of them goes on. */
  sizesDiffer?(): void;
}

/**
 * Compares two images. Failures behind the opening have
 * `context.phase`: `status` or `read` (exit codes 3 and 4 of the program).
 */
export async function compare(
  context: OperationContext,
  request: CompareRequest,
  observer: CompareObserver = {},
): Promise<CompareResult> {
  const { cache = 'writeback', forceShare, strict = false } = request;
  const how = { cache, forceShare };
  const both = { ...context, nodes: new NamedNodes() };
  return withSource(both, request.first, how, (first) =>
    withSource(both, request.second, how, async (second) => {
      const sides = [new Side(first, request.first, strict), new Side(second, request.second, strict)] as const;
      const steps = new CompareSteps(context, [first, second]);
      const result = await new Comparison(context, sides, strict, steps).run(observer);
      if (result.kind === 'identical') for (const node of [first, second]) await verifyBelow(node);
      return result;
    }),
  );
}

/** One of the two images. */
class Side {
  readonly source: CopySource;
  /** Longest read that pays, in bytes. */
  readonly quick: number;
  readonly #name: string;
  readonly #size: number;

  /** @param strict runs matter, so they have to be those of the real tool. */
  constructor(node: ImageNode, image: ImageInput, strict: boolean) {
    this.source = new CopySource([node], { asShown: strict });
    this.quick = quickTransfer(node);
    this.#name = imageName(image);
    this.#size = node.size();
  }

  /** What strict mode compares, as one text: presence, zeroes, coding, place, and whether the run is the last one. Undefined for padding. */
  traits(run: SourceRun, offset: number): string | undefined {
    const { status } = run;
    if (!status) return undefined;
    const placed = status.offset !== undefined && !status.compressed;
    const last = offset + run.length >= this.#size;
    return [status.present, status.zero, status.data, status.compressed, placed, last].join();
  }

  at(offset: number, length: number): MaybePromise<SourceRun> {
    try {
      const run = this.source.at(offset, length);
      return isPromise(run) ? run.catch((error: unknown) => Promise.reject(this.#statusError(error, offset))) : run;
    } catch (error) {
      throw this.#statusError(error, offset);
    }
  }

  #statusError(thrown: unknown, offset: number): BlockError {
    return this.#error(thrown, 'status', offset, `Sector allocation test failed for ${this.#name}`);
  }

  /** Fills `into` with the start of a run. */
  async read(run: SourceRun, offset: number, into: Uint8Array): Promise<void> {
    try {
      if (run.storage && run.offset !== undefined) await run.storage.readPadded(run.offset, into);
      else into.fill(0);
    } catch (first) {
      const [found] = await firstUnreadable([{ ...run, length: into.length }], into, offset);
      const { offset: place, error: thrown } = found ?? { offset, error: first };
      const text = `Error while reading offset ${place} of ${this.#name}: ${asBlockError(thrown).strerror}`;
      throw this.#error(thrown, 'read', place, text);
    }
  }

  #error(thrown: unknown, phase: 'status' | 'read', offset: number, message: string): BlockError {
    const error = asBlockError(thrown);
    if (isFinal(error)) return error;
    return new BlockError(error.kind, message, {
      context: { filename: this.#name, phase, access: phase, offset },
      cause: error,
      posix: { code: error.code, text: error.strerror },
    });
  }
}

/** First difference in an area, or none. */
type Finding = { readonly what: 'content' | 'status'; readonly offset: number } | undefined;

/** The start of a look at an area. */
interface Look {
  /** Bytes that are looked at. */
  readonly length: number;
  /** Absent where both are known to be equal. */
  readonly finding?: Promise<Finding>;
}

class Comparison {
  readonly #context: OperationContext;
  readonly #sides: readonly [Side, Side];
  readonly #strict: boolean;
  readonly #buffers: BufferPool;
  /** Bytes that are looked at at once. */
  readonly #longest: number;
  readonly #total: number;
  readonly #steps: CompareSteps;
  /** Areas that are being read, in order. */
  readonly #reading: { readonly start: number; readonly end: number; readonly finding: Promise<Finding> }[] = [];

  constructor(context: OperationContext, sides: readonly [Side, Side], strict: boolean, steps: CompareSteps) {
    this.#steps = steps;
    this.#context = context;
    this.#sides = sides;
    this.#strict = strict;
    this.#buffers = context.services.buffers;
    this.#longest = Math.min(this.#buffers.size, ...sides.map(({ quick }) => quick));
    this.#total = Math.max(sides[0].source.size, sides[1].source.size);
  }

  async run(observer: CompareObserver): Promise<CompareResult> {
    const [first, second] = this.#sides;
    const common = Math.min(first.source.size, second.source.size);
    const sizesDiffer = common < this.#total;
    this.#context.onProgress?.(0, this.#total);
    if (sizesDiffer && this.#strict) return { kind: 'different', what: 'size', offset: 0, sizesDiffer };
    const inside = await this.#walk(0, common, (at, length) => this.#pair(at, length));
    if (inside) return { kind: 'different', ...inside, sizesDiffer: false };
    if (sizesDiffer) observer.sizesDiffer?.();
    const longer = first.source.size > second.source.size ? first : second;
    const beyond = await this.#walk(common, this.#total, (at, length) => this.#single(longer, at, length));
    if (beyond) return { kind: 'different', ...beyond, sizesDiffer };
    return { kind: 'identical', sizesDiffer };
  }

  /**
   * Looks at a range area by area; several are read at the same time, findings count in order.
   * @param look starts on the area at an offset, and says how long it is.
   */
  async #walk(
    start: number,
    end: number,
    look: (offset: number, length: number) => MaybePromise<Look>,
  ): Promise<Finding> {
    try {
      let found: Finding;
      let failure: { readonly error: unknown } | undefined;
      for (let at = start; at < end && !found && !failure; ) {
        let area: Look;
        try {
          throwIfStopped(this.#context.signal);
          const seen = look(at, end - at);
          area = isPromise(seen) ? await seen : seen;
        } catch (error) {
          failure = { error };
          continue;
        }
        const { finding, length } = area;
        if (finding) this.#reading.push({ start: at, end: at + length, finding });
        // A failure is noticed when its turn comes; until then it is not unhandled.
        finding?.catch(() => undefined);
        at += length;
        if (this.#reading.length >= DEPTH) found = await this.#oldest();
      }
      // What was begun before a failure counts first.
      while (!found && this.#reading.length > 0) found = await this.#oldest();
      if (!found && failure) throw failure.error;
      if (!found) await this.#steps.advance(end);
      return found;
    } finally {
      await this.#settle();
    }
  }

  /** The finding of the area that was begun first. */
  async #oldest(): Promise<Finding> {
    const [area] = this.#reading;
    if (!area) return undefined;
    await this.#steps.advance(area.start);
    const found = await area.finding;
    this.#reading.shift();
    if (!found) await this.#steps.advance(area.end);
    return found;
  }

  /** Waits for all areas: nobody may close the images under a read. What they find does not matter any more. */
  async #settle(): Promise<void> {
    await Promise.allSettled(this.#reading.map(({ finding }) => finding));
    this.#reading.length = 0;
  }

  /** An area that both images have. */
  #pair(offset: number, length: number): MaybePromise<Look> {
    return andThen(pairAt(this.#sides, offset, length), (runs) => this.#compareRuns(offset, runs));
  }

  #compareRuns(offset: number, { one: given, other: otherGiven, length: shared }: PairRun<SourceRun>): Look {
    const [first, second] = this.#sides;
    const [traits, otherTraits] = [first.traits(given, offset), second.traits(otherGiven, offset)];
    if (this.#strict && traits !== otherTraits && traits !== undefined && otherTraits !== undefined) {
      return { length: shared, finding: Promise.resolve({ what: 'status', offset }) };
    }
    if (given.kind === 'zero' && otherGiven.kind === 'zero') return { length: shared };
    const [one, other] = [readable(given), readable(otherGiven)];
    if (isSamePlace(one, other)) return { length: shared };
    const length = Math.min(shared, this.#longest);
    // What is nowhere counts as zeroes, whatever reading it gives, and is not looked at on both sides.
    const [absent, otherAbsent] = [isAbsent(one), isAbsent(other)];
    if (absent && otherAbsent) return { length: shared };
    if (absent && other.kind === 'data') return { length, finding: this.#findData(second, other, offset, length) };
    if (otherAbsent && one.kind === 'data') return { length, finding: this.#findData(first, one, offset, length) };
    if (other.kind === 'zero') return { length, finding: this.#findData(first, one, offset, length) };
    if (one.kind === 'zero') return { length, finding: this.#findData(second, other, offset, length) };
    return { length, finding: this.#findDifference(one, other, offset, length) };
  }

  /** An area of the longer image only. */
  #single(side: Side, offset: number, length: number): MaybePromise<Look> {
    const look = (run: SourceRun): Look => {
      if (run.kind === 'zero') return { length: run.length };
      const part = Math.min(run.length, this.#longest);
      return { length: part, finding: this.#findData(side, run, offset, part) };
    };
    const run = side.at(offset, length);
    return isPromise(run) ? run.then(look) : look(run);
  }

  /** The first sector of a run that is not zero. */
  #findData(side: Side, run: SourceRun, offset: number, length: number): Promise<Finding> {
    const read = (into: Uint8Array): Promise<void> => side.read(run, offset, into);
    return readOne(this.#buffers, length, read, (bytes): Finding => {
      if (isZero(bytes)) return undefined;
      for (let at = 0; ; ) {
        // Sectors are counted from the start of the run, which matters behind an odd end of the other image.
        const end = Math.min(length, at + SECTOR);
        if (!isZero(bytes, at, end)) return { what: 'content', offset: offset + at };
        at = end;
      }
    });
  }

  /** The first sector in which two runs differ. */
  #findDifference(one: SourceRun, other: SourceRun, offset: number, length: number): Promise<Finding> {
    const [first, second] = this.#sides;
    const readers = [
      (into: Uint8Array) => first.read(one, offset, into),
      (into: Uint8Array) => second.read(other, offset, into),
    ] as const;
    return readBoth(this.#buffers, length, readers, (a, b): Finding => {
      const at = firstDifference(a, b);
      return at < 0 ? undefined : { what: 'content', offset: offset + alignDown(at, SECTOR) };
    });
  }
}

/** True for a run that no image of the chain has, but that is not said to be zero: some NBD servers have such. */
function isAbsent({ kind, status }: SourceRun): boolean {
  return kind === 'data' && status?.present === false;
}

/** What takes space is read, even where it is said to be zero: some NBD contexts say that of all sorts of things. */
function readable(run: SourceRun): SourceRun {
  const { storage, offset, data } = run.status ?? {};
  return run.kind === 'zero' && data === true && storage && offset !== undefined
    ? { ...run, kind: 'data', storage, offset }
    : run;
}

/** True if both runs start at the same byte of the same file: what they have in common is equal, unread. */
function isSamePlace(one: SourceRun, other: SourceRun): boolean {
  if (one.offset === undefined || one.offset !== other.offset) return false;
  if (one.storage instanceof ImageNode || other.storage instanceof ImageNode) return one.storage === other.storage;
  const identity = identityOf(one.storage);
  return identity !== undefined && identity === identityOf(other.storage);
}
