/** A copy that is under way, started by somebody who ignores signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A copy of `source` to `out`, which takes two seconds. */
export interface Copy {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Exit code and signal. */
  readonly end: Promise<unknown[]>;
}

/** Starts a copy under a shell that ignores signals; resolves when the program has opened its source. */
export async function copyIgnoring(program: string, ignored: string, directory: string): Promise<Copy> {
  const script = `trap '' ${ignored}; exec "$0" convert -r 3M -f raw -O qcow2 source out`;
  const child = spawn('/bin/sh', ['-c', script, program], { cwd: directory, stdio: 'ignore' });
  const end = new Promise<unknown[]>((resolve) => child.once('exit', (code, signal) => resolve([code, signal])));
  const pid = child.pid ?? 0;
  const files = `/proc/${pid}/fd`;
  const hasSource = (fd: string): boolean => {
    try {
      return readlinkSync(`${files}/${fd}`) === join(directory, 'source');
    } catch {
      return false; // closed meanwhile
    }
  };
  while (!readdirSync(files).some(hasSource)) await sleep(5);
  return { child, pid, end };
}
