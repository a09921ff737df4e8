/** Compressed files and archives by the programs that people make them with. */
import { execFileSync } from 'node:child_process';

const COMMANDS = {
  gzip: ['gzip', '-1', '-c'],
  xz: ['xz', '-0', '-T1', '-c'],
  zstd: ['zstd', '-1', '-q', '-c'],
  bzip2: ['bzip2', '-1', '-c'],
} as const;

/** A file as the program of that name makes it. @param more arguments in front of the others. */
export function packedBy(program: keyof typeof COMMANDS, content: Uint8Array, more: readonly string[] = []): Buffer {
  const [command, ...words] = COMMANDS[program];
  return execFileSync(command, [...more, ...words], { input: content, maxBuffer: 2 ** 30 });
}
