/** What `compare` says, and its exit codes. */
import type { BlockError } from '../base/error.ts';
import type { CompareResult } from '../operations/compare.ts';

/** The line for images of different sizes, printed before what one of them has beyond the other is looked at. */
export const SIZES_DIFFER = 'Warning: Image size mismatch!\n';

/** The last line. */
export function formatCompare(result: CompareResult): string {
  return `${verdict(result)}\n`;
}

function verdict(result: CompareResult): string {
  if (result.kind === 'identical') return 'Images are identical.';
  switch (result.what) {
    case 'content':
      return `Content mismatch at offset ${result.offset}!`;
    case 'status':
      return `Strict mode: Offset ${result.offset} block status mismatch!`;
    case 'size':
      return 'Strict mode: Image size mismatch!';
  }
}

/** Exit code of a result. */
export function compareExitCode(result: CompareResult): number {
  return result.kind === 'identical' ? 0 : 1;
}

/** Exit code of a failure: where an image could not be opened, looked at, or read. */
export function compareFailureCode(error: BlockError): number {
  return { open: 2, status: 3, read: 4 }[error.context.phase ?? 'open'];
}
