/**
 * What a safe `rebase` copies: for every part of an image that comes from its backing image, the units in which the
 * new backing image has something else.
 */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError, type BlockError, isFinal } from '../../base/error.ts';
import { Breath, InFlight, SpareBuffers } from '../../base/inflight.ts';
import { alignDown, alignUp, MiB, SECTOR } from '../../base/offset.ts';
import { firstDifference } from '../../base/zero.ts';
import { type BlockStatus, ChainCursor } from '../../block/node/chain.ts';
import type { Coder } from '../../block/capabilities.ts';
import type { Mapping } from '../../block/mapping.ts';
import type { ImageNode } from '../../block/node/node.ts';
import { identityOf } from '../../block/graph/bottom.ts';
import type { OperationContext } from '../context.ts';
import { depthBelow } from './depth.ts';
import { pairAt, readBoth, readOne } from './pair.ts';
import { STRIDE, strideEnd } from './strides.ts';
import { type BufferRun, splitZeroes } from './zeroRuns.ts';

/** Most bytes in buffers. */
const BUFFER_BUDGET = 32 * MiB;
/** Areas that are compared at the same time. */
const DEPTH = 6;
/** Steps after which other events get a chance. */
const BREATHE = 512;

/** A backing image as one side of the comparison; absent images read as zeroes. */
class Side {
  /** Guest size in bytes. */
  readonly size: number;
  readonly #node: ImageNode | undefined;
  readonly #cursor: ChainCursor | undefined;
  readonly #name: string;

  /** @param name `old` or `new`, for messages. */
  constructor(node: ImageNode | undefined, name: string) {
    this.#node = node;
    this.#cursor = node && new ChainCursor(node);
    this.#name = name;
    this.size = node?.size() ?? 0;
  }

  /** The run at `offset`; undefined status: zeroes behind the end. */
  at(offset: number, length: number): MaybePromise<SideRun> {
    if (!this.#cursor || offset >= this.size) return { length, status: undefined };
    try {
      const found = this.#cursor.at(offset, length);
      if (!isPromise(found)) return { length: found.length, status: found };
      return found.then(
        (status) => ({ length: status.length, status }),
        (error: unknown) => Promise.reject(this.#failed(error)),
      );
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    try {
      if (this.#node && offset < this.size) await this.#node.readPadded(offset, into);
      else into.fill(0);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(thrown: unknown): BlockError {
    const error = asBlockError(thrown);
    return error.kind === 'aborted' ? error : error.reworded(`error while reading from ${this.#name} backing file`);
  }
}

interface SideRun {
  readonly length: number;
  readonly status: BlockStatus | undefined;
}

function isZeroRun({ status }: SideRun): boolean {
  return status === undefined || status.zero;
}

/** True if two runs at the same offset are known to have the same content without reading it. */
function provablySame(one: SideRun, other: SideRun): boolean {
  if (isZeroRun(one) || isZeroRun(other)) return isZeroRun(one) && isZeroRun(other);
  const [a, b] = [one.status, other.status];
  if (!a || !b) return false;
  if (a.special || b.special) {
    // Both chains lead to the same layer.
    const identity = identityOf(a.node);
    const layer = identity !== undefined && identity === identityOf(b.node) && a.node.format === b.node.format;
    return layer && a.compressed && b.compressed && a.node.name === b.node.name;
  }
  const identity = identityOf(a.storage);
  const placed = a.offset !== undefined && a.offset === b.offset;
  return placed && identity !== undefined && identity === identityOf(b.storage);
}

/** Bytes of the image that may have to be copied. */
interface Area {
  readonly start: number;
  readonly end: number;
}

/** One run of a safe rebase; the image still has its old backing image. */
export class UpCopy {
  readonly #node: ImageNode;
  readonly #sides: readonly [old: Side, replacement: Side];
  readonly #compressor: Coder | undefined;
  /** Number of layers between the image and the new backing image, if that stays below. */
  readonly #between: number | undefined;
  /** Bytes that are compared and stored as one. */
  readonly #step: number;
  /** Longest area, a multiple of the step. */
  readonly #chunk: number;
  readonly #buffers: SpareBuffers;
  readonly #flight: InFlight;
  readonly #breath: Breath;
  /** Where the last run of the latest area ends that was stored as data. */
  #reach: Promise<number | undefined> = Promise.resolve(undefined);
  /** Bytes from below that were looked at. */
  #looked = 0;

  /**
   * @param node the image, with its old backing image if it has one.
   * @param replacement the new backing image.
   * @param compressor stores whole units compressed.
   */
  constructor(
    context: OperationContext,
    node: ImageNode,
    replacement: ImageNode | undefined,
    compressor: Coder | undefined,
  ) {
    this.#node = node;
    this.#sides = [new Side(node.backing, 'old'), new Side(replacement, 'new')];
    this.#compressor = compressor;
    const depth = replacement && depthBelow(node, replacement);
    this.#between = depth && depth - 1;
    // Subclusters are smaller than what is allocated, and show in what can be zeroed.
    const zeroable = node.limits.writeZeroesAlignment || Number.POSITIVE_INFINITY;
    this.#step = compressor?.unit ?? Math.max(SECTOR, Math.min(node.allocationUnit ?? 1, zeroable));
    const { buffers } = context.services;
    this.#chunk = Math.max(buffers.size, this.#step);
    this.#buffers = new SpareBuffers(this.#chunk, buffers);
    this.#flight = new InFlight(Math.max(1, Math.min(DEPTH, Math.floor(BUFFER_BUDGET / (2 * this.#chunk)))));
    this.#breath = new Breath(BREATHE, context.services, context.signal);
  }

  /**
   * Copies. The image reads the same before, meanwhile and afterwards; afterwards also over the new backing image.
   * @param looked is called behind each area that the real tool looks at as one, with the bytes that were looked at.
   */
  async run(looked: (done: number) => void = () => undefined): Promise<void> {
    try {
      await this.#walk(looked);
    } catch (error) {
      this.#flight.fail(error);
    }
    await this.#flight.finish();
  }

  async #walk(looked: (done: number) => void): Promise<void> {
    const size = this.#node.size();
    let runStart = 0;
    for (let at = 0; at < size && !this.#flight.failed; ) {
      await this.#breath.step();
      const { kind, length } = await this.#mapping(at, size - at);
      const end = at + length;
      if (kind === 'unallocated') {
        await this.#inherited(runStart, at, end);
        await this.#tell(at, end, looked);
      } else runStart = end;
      at = end;
    }
  }

  /** Counts the areas of a part of the image as the real tool cuts them. */
  async #tell(start: number, end: number, looked: (done: number) => void): Promise<void> {
    const { strideUnit: unit = Number.POSITIVE_INFINITY } = this.#node.quirks;
    const { backing } = this.#node;
    const between = backing && this.#between ? new ChainCursor(backing, this.#between) : undefined;
    // What comes from an image that stays below is left out.
    if (this.#between === 0) return;
    for (let at = start; at < end; ) {
      let length = Math.min(STRIDE, end - at, unit - (at % unit));
      const found = backing && at < backing.size() ? await between?.at(at, length) : undefined;
      if (found) length = Math.min(found.length, strideEnd(between?.layers ?? [], found, at) - at);
      at += length;
      if (found && !found.present) continue;
      this.#looked += length;
      looked(this.#looked);
    }
  }

  async #mapping(offset: number, length: number): Promise<Mapping> {
    try {
      return await this.#node.map(offset, length);
    } catch (thrown) {
      const error = asBlockError(thrown);
      throw error.reworded(`error while reading image metadata: ${error.strerror}`);
    }
  }

  /** A part of the image that comes from below; `runStart` is where this begins, perhaps before `start`. */
  async #inherited(runStart: number, start: number, end: number): Promise<void> {
    // What differs is taken apart where a cell begins.
    const cell = Math.max(STRIDE, this.#step);
    for (let at = start; at < end && !this.#flight.failed; ) {
      const position = await this.#suspect(at, end);
      if (position === undefined) return;
      const areaStart = Math.max(at, alignDown(position, this.#step));
      const cellStart = runStart + Math.floor((areaStart - runStart) / cell) * cell;
      const limit = Math.min(end, alignDown(areaStart + this.#chunk, this.#step), cellStart + cell);
      const area = { start: areaStart, end: await this.#extent(position, limit) };
      at = area.end;
      const entry = this.#flight.enter();
      if (isPromise(entry)) await entry;
      this.#reach = this.#flight.follow(this.#compare(area, areaStart > cellStart ? this.#reach : undefined));
    }
  }

  /** The first offset of a run that is not known to be the same on both sides. */
  async #suspect(start: number, end: number): Promise<number | undefined> {
    for (let at = start; at < end; ) {
      await this.#breath.step();
      const { length, same } = await this.#pair(at, end - at);
      if (!same) return at;
      at += length;
    }
    return undefined;
  }

  /** How far from `start` on runs follow each other that may differ, to the end of a step. */
  async #extent(start: number, limit: number): Promise<number> {
    let at = start;
    while (at < limit) {
      const { length, same } = await this.#pair(at, limit - at);
      if (same) break;
      at += length;
    }
    return Math.min(limit, alignUp(at, this.#step));
  }

  async #pair(offset: number, length: number): Promise<{ readonly length: number; readonly same: boolean }> {
    const { one, other, length: both } = await pairAt(this.#sides, offset, length);
    return { length: both, same: provablySame(one, other) };
  }

  /** @returns where the last run ends that was stored as data. */
  async #compare({ start, end }: Area, reach: Promise<number | undefined> | undefined): Promise<number> {
    const [old, replacement] = this.#sides;
    const read = (into: Uint8Array): Promise<void> => old.read(start, into);
    const below = await replacement.at(start, end - start);
    // Where the new image has nothing but zeroes, they need not be written down to be compared with.
    if (isZeroRun(below) && below.length >= end - start) {
      return readOne(this.#buffers, end - start, read, (bytes) =>
        this.#storeRuns(splitZeroes(bytes, start, { step: this.#step, shortest: this.#step }), bytes, start, reach),
      );
    }
    const readers = [read, (into: Uint8Array) => replacement.read(start, into)] as const;
    return readBoth(this.#buffers, end - start, readers, (bytes, other) =>
      this.#storeRuns(differences(bytes, other, start, this.#step), bytes, start, reach),
    );
  }

  /**
   * Stores the runs of an area in which the new backing image has something else.
   * @param bytes of the area, which begins at `offset`.
   */
  async #storeRuns(
    runs: Iterable<BufferRun>,
    bytes: Uint8Array,
    offset: number,
    reach: Promise<number | undefined> | undefined,
  ): Promise<number> {
    const [old] = this.#sides;
    let stored = 0;
    for (const { start, end, zero: same } of runs) {
      if (same) continue;
      const at = offset + start;
      const changed = bytes.subarray(start, end);
      // As the real tool does with what differs behind the end of the old image only.
      if (at >= old.size && !(start === 0 && (await reach) === offset)) {
        await this.#zero(at, changed);
      } else {
        await this.#store(at, changed);
        stored = offset + end;
      }
    }
    return stored;
  }

  /** Records zeroes that hide the new backing image. */
  async #zero(offset: number, bytes: Uint8Array): Promise<void> {
    const end = offset + bytes.length;
    try {
      await this.#node.writeZeroes(offset, bytes.length);
      // Where nothing is hidden yet, a driver may have had nothing to do, and some formats cannot hide anything.
      for (let at = offset; at < end; ) {
        const { kind, length } = await this.#node.map(at, end - at);
        if (kind === 'unallocated') await this.#node.write(at, bytes.subarray(at - offset, at - offset + length));
        at += length;
      }
    } catch (error) {
      throw writeError(error);
    }
  }

  async #store(offset: number, bytes: Uint8Array): Promise<void> {
    const compressor = this.#compressor;
    try {
      if (!compressor) return await this.#node.write(offset, bytes);
      const end = offset + bytes.length;
      const last = end === this.#node.size() ? end : alignDown(end, compressor.unit);
      const first = Math.min(alignUp(offset, compressor.unit), end);
      // Units of which the image has a part already are completed and not replaced.
      if (first >= last) return await this.#node.write(offset, bytes);
      if (first > offset) await this.#node.write(offset, bytes.subarray(0, first - offset));
      await this.#storeUnits(compressor, first, bytes.subarray(first - offset, last - offset));
      if (end > last) await this.#node.write(last, bytes.subarray(last - offset));
    } catch (error) {
      throw writeError(error);
    }
  }

  async #storeUnits(compressor: Coder, offset: number, bytes: Uint8Array): Promise<void> {
    let at = 0;
    for (const coded of await compressor.encode(offset, bytes)) {
      const unit = bytes.subarray(at, at + compressor.unit);
      if (coded) await this.#node.storeCompressed(offset + at, coded);
      else await this.#node.write(offset + at, unit);
      at += unit.length;
    }
  }
}

/** An error of storing data in the image, with the real tool's message. */
export function writeError(thrown: unknown): BlockError {
  const error = asBlockError(thrown);
  if (isFinal(error)) return error;
  return error.reworded(`Error while writing to COW image: ${error.strerror}`);
}

/**
 * Runs of whole steps in which two buffers differ.
 * @param offset of their first byte; steps are aligned in the image.
 */
function* differences(old: Uint8Array, other: Uint8Array, offset: number, step: number): Generator<BufferRun> {
  let run: { start: number; end: number; zero: false } | undefined;
  for (let at = 0; at < old.length; ) {
    const found = firstDifference(old.subarray(at), other.subarray(at));
    if (found < 0) break;
    const start = Math.max(at, alignDown(offset + at + found, step) - offset);
    const stop = Math.min(old.length, alignDown(offset + at + found, step) + step - offset);
    if (run && run.end === start) run.end = stop;
    else {
      if (run) yield run;
      run = { start, end: stop, zero: false };
    }
    at = stop;
  }
  if (run) yield run;
}
