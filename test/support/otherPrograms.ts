/** Programs besides the real qemu-img that know some of the formats. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Directories of system programs such as mke2fs are not on everybody's path. */
export const systemPath: Readonly<Record<string, string>> = {
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
};

/** True if the program is installed. */
export function installed(program: string): boolean {
  return (systemPath['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Runs a program to its end and gives what it printed.
 * @param input for its standard input.
 * @throws Error if it is not content.
 */
export function runOther(program: string, args: readonly string[], input: string | Uint8Array = ''): string {
  const env = { ...process.env, ...systemPath, LC_ALL: 'C.UTF-8' };
  return execFileSync(program, args, { input, env, encoding: 'utf8', stdio: 'pipe' });
}
