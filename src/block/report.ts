/** The lines of a check's report. */
import type { Advice } from '../base/hint.ts';

/** What belongs to a line besides its text. */
export interface ReportDetail {
  /** The real tool puts its name in front of the line, as before an error. */
  readonly isError?: boolean;
  /** What can be done about it; stands below the line. */
  readonly hint?: Advice;
}

/**
 * Takes one line of a report, in order, without the final newline; `stream` says where the real tool prints it.
 */
export type ReportLine = (line: string, stream: 'out' | 'err', detail?: ReportDetail) => void;
