/** A world for commands that records what is asked for instead of doing it. */
import { BlockError, posixError } from '../../src/base/error.ts';
import type { DriverRegistry } from '../../src/block/graph/registry.ts';
import type { CommandIo, Job } from '../../src/cli/io.ts';
import { drivers } from '../../src/drivers.ts';

/** What a run of a command left behind. */
export class MemoryIo implements CommandIo {
  stdout = '';
  stderr = '';
  /** The work that was asked for, in order. */
  readonly requests: Job[] = [];
  readonly files: Map<string, Uint8Array> = new Map();
  /** Exit code of the work, or what goes wrong. */
  outcome: number | BlockError = 0;

  out(text: string): void {
    this.stdout += text;
  }

  err(text: string): void {
    this.stderr += text;
  }

  readFile(name: string): Promise<Uint8Array> {
    const bytes = this.files.get(name);
    return bytes ? Promise.resolve(bytes) : Promise.reject(posixError('not-found', name));
  }

  drivers(): Promise<DriverRegistry> {
    return Promise.resolve(drivers);
  }

  execute(job: Job): Promise<number> {
    this.requests.push(job);
    return this.outcome instanceof BlockError ? Promise.reject(this.outcome) : Promise.resolve(this.outcome);
  }
}
