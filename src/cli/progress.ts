/** The `-p` line, and the same on request by a signal. */

/** Where progress goes. */
export interface ProgressOutput {
  out(text: string): void;
  err(text: string): void;
}

/** A number with two digits behind the point as the C library prints it: what lies between two numbers becomes even. */
function twoDigits(percent: number): string {
  // Only odd eighths of a number below 2^24 lie exactly between two hundredths.
  const tied = percent % 0.25 === 0.125;
  const lower = Math.floor(percent * 100);
  return tied && lower % 2 === 0 ? (lower / 100).toFixed(2) : percent.toFixed(2);
}

/**
 * Progress of one command. With `-p` a line is written to standard output, overwriting the last, when so many percent
 * were done since, and whenever the number is 0 or 100 or falls; without, a request ({@link request}) makes the next
 * update write one line to standard error. Percentages are rounded as a C `float`, which shows where they are added up.
 */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #enabled: boolean;
  readonly #step: number;
  #active = false;
  #percent = 0;
  #last = 0;
  #requested = false;

  /** @param step percentage points that have to lie between two lines. */
  constructor(output: ProgressOutput, enabled: boolean, step = 1) {
    this.#output = output;
    this.#enabled = enabled;
    this.#step = step;
  }

  /** Somebody is going to see the next update. */
  get watched(): boolean {
    return this.#enabled || this.#requested;
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
    this.#show(total > 0 ? (done * 100) / total : 100);
  }

  /** So many percent more are done. */
  add(percent: number): void {
    this.#show(this.#percent + Math.fround(percent));
  }

  #show(percent: number): void {
    this.#percent = Math.fround(Math.min(100, percent));
    if (this.#enabled) {
      const near = this.#percent >= this.#last && this.#percent <= this.#last + this.#step;
      if (near && this.#percent !== 0 && this.#percent !== 100) return;
      this.#last = this.#percent;
      this.#output.out(`    (${twoDigits(this.#percent)}/100%)\r`);
    } else if (this.#requested) {
      this.#requested = false;
      this.#output.err(`    (${twoDigits(this.#percent)}/100%)\n`);
    }
  }

  /** Ends the line, if there is one to end. */
  finish(): void {
    if (this.#active && this.#enabled) this.#output.out('\n');
    this.#active = false;
  }
}
