/** How far an amendment that consists of several operations is. */

/** Told by an operation: work done and in all, in its own units. */
export type Told = (done: number, total: number) => void;

/** Adds up operations; those to come are taken to be as much work as the present one, as the real tool does. */
export class AmendWork {
  readonly #report: Told | undefined;
  #left: number;
  /** Work of the operations that are complete. */
  #before = 0;

  /** @param operations which of them are going to be done. */
  constructor(report: Told | undefined, operations: readonly boolean[]) {
    this.#report = report;
    this.#left = operations.filter(Boolean).length;
  }

  /** Does one operation. */
  async do(operation: (told: Told) => Promise<void>): Promise<void> {
    let last = 0;
    await operation((done, total) => {
      last = total;
      this.#report?.(this.#before + done, this.#before + total * this.#left);
    });
    this.#before += last;
    this.#left--;
  }
}
