/** What `measure` prints. */
import type { MeasureResult } from '../operations/measure.ts';
import { formatJson } from './json.ts';

/** For people. */
export function formatMeasure(result: MeasureResult): string {
  const bitmaps = result.bitmaps === undefined ? '' : `bitmaps size: ${BigInt(result.bitmaps)}\n`;
  return (
    `required size: ${BigInt(result.required)}\n` + `fully allocated size: ${BigInt(result.fullyAllocated)}\n${bitmaps}`
  );
}

/** For programs, which get signed numbers: 2^63 is negative there, as in the real program. */
export function formatMeasureJson(result: MeasureResult): string {
  const { bitmaps, required, fullyAllocated } = result;
  return `${formatJson({ bitmaps, required: signed(required), 'fully-allocated': signed(fullyAllocated) })}\n`;
}

function signed(bytes: number): bigint {
  return BigInt.asIntN(64, BigInt(bytes));
}
