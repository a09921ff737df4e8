/** The program with files in memory and drivers of a test. */
import { permissiveGate } from '../../src/block/graph/gate.ts';
import type { DriverRegistry } from '../../src/block/graph/registry.ts';
import type { CommandIo, Job } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { type MemoryFiles, memoryServices } from '../../src/testing.ts';

/** What a command printed, and its exit code. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line, words separated by blanks. */
export async function runProgram(line: string, registry: DriverRegistry, files: MemoryFiles): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const out = (text: string): void => void (stdout += text);
  const err = (text: string): void => void (stderr += text);
  const io: CommandIo = {
    out,
    err,
    readFile: async (name) => files.bytes(name),
    drivers: async () => registry,
    execute: ({ view, run }: Job) =>
      run({
        context: {
          drivers: registry,
          services: { ...memoryServices(files), secrets: view.secrets },
          gate: permissiveGate,
          onWarning: (text) => view.warn(text),
          onComplaint: (text, closing) => (closing === true ? view.warnLast(text) : err(`qemu-img: ${text}\n`)),
          onNotice: (text) => err(`${text}\n`),
        },
        view,
        out,
        err,
      }),
  };
  const code = await main(line.split(' '), io);
  return { code, stdout, stderr };
}
