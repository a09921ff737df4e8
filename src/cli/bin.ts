/** The entry point of the program. */
import { exactArguments } from '../host/node/arguments.ts';
import { exitAtOnce } from '../host/node/ffi.ts';
import { keepIgnoring } from '../host/node/signals.ts';
import { machineIo } from './host.ts';
import { main } from './main.ts';
import { OutputStream } from './streams.ts';

keepIgnoring();
const output = new OutputStream(1);
const errors = new OutputStream(2);

/** What says that a command failed; 1 says of `compare` that images differ. */
const FAILED = process.argv[2] === 'compare' ? 2 : 1;

/** Whatever goes wrong behind everybody's back becomes one line, never a stack trace. */
function lastResort(thrown: unknown): void {
  output.flush();
  errors.write(`qemu-img: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  errors.flush();
  process.exit(FAILED);
}

let isComplete = false;

/** Node ends when nothing is left to wait for, with code 0, also in the middle of a command whose next event never comes. */
function abandoned(): void {
  if (!isComplete) lastResort(new Error('The command was abandoned before it was complete'));
}

process.on('uncaughtException', lastResort);
process.on('unhandledRejection', lastResort);
process.on('beforeExit', abandoned);

/** Keeps what was compiled in this run for the next one. Given by scripts/lib/start.cjs, if that started the program. */
function keepCode(code: number): void {
  const keep: unknown = Reflect.get(globalThis, Symbol.for('qimg.finished'));
  if (typeof keep === 'function') Reflect.apply(keep, undefined, [code]);
}

async function run(): Promise<void> {
  const code = await main(exactArguments(process.argv.slice(2)), machineIo(output, errors));
  isComplete = true;
  output.flush();
  process.exitCode = output.closed ? 1 : code;
  // Loaded before the code is kept, so that it is part of it.
  const end = exitAtOnce;
  keepCode(process.exitCode);
  end(process.exitCode);
}

run().catch(lastResort);
