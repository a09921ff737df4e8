/** The `-p` line, and the same on request by a signal. */

/** Where progress goes. */
export interface ProgressOutput {
  out(text: string): void;
  err(text: string): void;
}

/** Percentage points between two lines. */
const STEP = 1;

/**
 * Progress of one command. With `-p` every percent is written to standard output, overwriting the last; without,
 * a request ({@link request}) makes the next update write one line to standard error.
 */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #enabled: boolean;
  #active = false;
  #last = Number.NEGATIVE_INFINITY;
  #requested = false;

  constructor(output: ProgressOutput, enabled: boolean) {
    this.#output = output;
    this.#enabled = enabled;
  }

  /** From here on the line is ended by {@link finish}, even if nothing was shown. */
  open(): void {
    this.#active = true;
  }

  /** Shows 0 %. */
  start(): void {
    this.open();
    this.update(0, 1);
  }

  /** Asks for one line at the next update. */
  request(): void {
    this.#requested = true;
  }

  /** `done` of `total` units of work. */
  update(done: number, total: number): void {
    const percent = total > 0 ? Math.min(100, (done * 100) / total) : 100;
    if (this.#enabled) {
      if (percent < this.#last + STEP && !(percent === 100 && this.#last < 100)) return;
      this.#last = percent;
      this.#output.out(`    (${percent.toFixed(2)}/100%)\r`);
    } else if (this.#requested) {
      this.#requested = false;
      this.#output.err(`    (${percent.toFixed(2)}/100%)\n`);
    }
  }

  /** Ends the line, if there is one to end. */
  finish(): void {
    if (this.#active && this.#enabled) this.#output.out('\n');
    this.#active = false;
  }
}
