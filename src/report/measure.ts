/** What `measure` prints. */
import type { MeasureResult } from '../operations/measure.ts';
import { formatJson } from './json.ts';

/** For people. */
export function formatMeasure(result: MeasureResult): string {
  const sizes = [`required size: ${BigInt(result.required)}`, `fully allocated size: ${BigInt(result.fullyAllocated)}`];
  if (result.bitmaps !== undefined) sizes.push(`bitmaps size: ${BigInt(result.bitmaps)}`);
  return `${sizes.join('\n')}\n`;
}

/** For programs, which get signed numbers: 2^63 is negative there, as in the real program. */
export function formatMeasureJson(result: MeasureResult): string {
  const { bitmaps, required, fullyAllocated } = result;
  return `${formatJson({ bitmaps, required: signed(required), 'fully-allocated': signed(fullyAllocated) })}\n`;
}

function signed(bytes: number): bigint {
  return BigInt.asIntN(64, BigInt(bytes));
}
