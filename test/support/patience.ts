import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

const MINUTE = 60_000;

/** Names files that run for minutes: what hangs in a loop cannot be told that its time is over, and prints nothing. */
// oxlint-disable-next-line import/no-default-export -- vitest takes a reporter's file by its default export
export default class Patience implements Reporter {
  readonly #started = new Map<TestModule, number>();
  #timer: NodeJS.Timeout | undefined;

  onTestRunStart(): void {
    this.#timer = setInterval(() => this.#tell(), 2 * MINUTE);
    this.#timer.unref();
  }

  onTestModuleStart(module: TestModule): void {
    this.#started.set(module, Date.now());
  }

  onTestModuleEnd(module: TestModule): void {
    this.#started.delete(module);
  }

  onTestRunEnd(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    for (const [module, since] of this.#started) {
      const minutes = Math.floor((Date.now() - since) / MINUTE);
      const name = relative(process.cwd(), module.moduleId);
      if (minutes >= 2) process.stderr.write(`running for ${minutes} minutes: ${name}\n`);
    }
  }
}
