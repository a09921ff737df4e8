/** Finding zeroes in data that is about to be written, with the meaning of `convert -S`. */
import { type Kernels, kernelsFor } from '../../base/kernels.ts';
import { alignDown, alignUp } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';

/** Zeroes are never looked for in smaller steps: file systems do not keep smaller holes. */
const SMALLEST_STEP = 4096;

/** How zeroes are looked for. */
export interface ZeroSearch {
  /** Areas of so many bytes, at multiples of it, are tested as a whole; a power of two. */
  readonly step: number;
  /** Shorter runs of zero areas count as data. */
  readonly shortest: number;
}

/**
 * The search for `-S`.
 * @param sparseSize bytes, a multiple of 512 above 0.
 */
export function zeroSearch(sparseSize: number): ZeroSearch {
  const step = Math.max(SMALLEST_STEP, 2 ** Math.floor(Math.log2(sparseSize)));
  return { step, shortest: Math.max(step, sparseSize) };
}

/** A part of a buffer: bytes `[start, end)`, all zero or to be written as data. */
export interface BufferRun {
  readonly start: number;
  readonly end: number;
  readonly zero: boolean;
}

/**
 * Cuts a buffer into runs of data and of zeroes.
 * @param offset of the buffer's first byte on the target; areas are aligned there.
 */
export function splitZeroes(bytes: Uint8Array, offset: number, search: ZeroSearch): BufferRun[] {
  const { step } = search;
  const aligned = offset % step === 0 && bytes.length % 64 === 0;
  const kernels = aligned ? kernelsFor(bytes) : undefined;
  const runs = kernels ? areasByKernel(kernels, bytes, step) : areas(bytes, offset, step);
  return search.shortest > step ? withoutShort(runs, search.shortest, step) : runs;
}

function areas(bytes: Uint8Array, offset: number, step: number): BufferRun[] {
  const runs: { start: number; end: number; zero: boolean }[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = Math.min(bytes.length, alignDown(offset + start, step) + step - offset);
    const zero = isZero(bytes, start, end);
    const last = runs.at(-1);
    if (last && last.zero === zero) last.end = end;
    else runs.push({ start, end, zero });
    start = end;
  }
  return runs;
}

/** The same for bytes that start with a whole area. */
function areasByKernel(kernels: Kernels, bytes: Uint8Array, step: number): BufferRun[] {
  const runs: BufferRun[] = [];
  const base = bytes.byteOffset;
  const stop = base + bytes.length;
  for (let start = base; start < stop; ) {
    const dataEnd = kernels.dataEnd(start, stop, step);
    if (dataEnd > start) runs.push({ start: start - base, end: dataEnd - base, zero: false });
    start = dataEnd < stop ? kernels.zeroEnd(dataEnd, stop, step) : stop;
    if (start > dataEnd) runs.push({ start: dataEnd - base, end: start - base, zero: true });
  }
  return runs;
}

/** Turns runs of zeroes that are too short into data. A short last area counts as a full one. */
function withoutShort(runs: readonly BufferRun[], shortest: number, step: number): BufferRun[] {
  const kept: { start: number; end: number; zero: boolean }[] = [];
  for (const run of runs) {
    const zero = run.zero && alignUp(run.end - run.start, step) >= shortest;
    const last = kept.at(-1);
    if (last && last.zero === zero) last.end = run.end;
    else kept.push({ start: run.start, end: run.end, zero });
  }
  return kept;
}

/**
 * Widens data to whole areas of `unit` bytes, so that a cluster is written once and as a whole; what is left between
 * are zeroes.
 */
export function widenData(runs: readonly BufferRun[], offset: number, length: number, unit: number): BufferRun[] {
  const wide: BufferRun[] = [];
  let done = 0;
  for (const run of runs) {
    if (run.zero) continue;
    const start = Math.max(done, alignDown(offset + run.start, unit) - offset);
    const end = Math.min(length, alignUp(offset + run.end, unit) - offset);
    if (end <= done) continue;
    if (start > done) wide.push({ start: done, end: start, zero: true });
    const last = wide.at(-1);
    if (last && !last.zero) wide[wide.length - 1] = { ...last, end };
    else wide.push({ start, end, zero: false });
    done = end;
  }
  if (done < length) wide.push({ start: done, end: length, zero: true });
  return wide;
}
