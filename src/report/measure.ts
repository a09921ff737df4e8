/** What `measure` prints. */
import { exactDecimal } from '../base/size.ts';
import type { MeasureResult } from '../operations/measure.ts';
import { formatJson } from './json.ts';

/** For people. */
export function formatMeasure(result: MeasureResult): string {
  const bitmaps = result.bitmaps === undefined ? '' : `bitmaps size: ${exactDecimal(result.bitmaps)}\n`;
  return (
    `required size: ${exactDecimal(result.required)}\n` +
    `fully allocated size: ${exactDecimal(result.fullyAllocated)}\n${bitmaps}`
  );
}

/** For programs. */
export function formatMeasureJson(result: MeasureResult): string {
  const { bitmaps, required, fullyAllocated } = result;
  return `${formatJson({ bitmaps, required, 'fully-allocated': fullyAllocated })}\n`;
}
