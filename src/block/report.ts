/** The lines of a check's report. */
import type { Advice } from '../base/hint.ts';

/** One line of a report. */
export interface ReportLine {
  /**
   * `finding`: what is wrong, or was put right. `error`: what the real tool reports as an error of its own, with its name in
   * front. Both go to standard error.
   */
  readonly severity: 'finding' | 'error';
  /** Without the final newline. */
  readonly text: string;
  /** What can be done about it; stands below the line. */
  readonly hint?: Advice;
}

/** Takes the lines of a report one by one, in order. */
export type Report = (line: ReportLine) => void;
