/**
 * Signals that the caller ignores, as `nohup` and shells do for what they run in the background. Node sets every signal to
 * its default when it starts, so the launcher `qimg` looks before and hands on what it saw. Other runtimes leave them.
 */
import { constants } from 'node:os';
import { libc } from './ffi.ts';
import { otherRuntime } from './runtime.ts';

/** A mask as in `sigignore` of /proc/PID/stat: bit 0 for signal 1, and so on. */
const VARIABLE = 'QIMG_IGNORED_SIGNALS';

/**
 * Signals that end or stop a process. Not among them: faults of the program itself; SIGPIPE and SIGXFSZ, which Node ignores
 * anyway; SIGUSR1, which asks for progress and never ends the program.
 */
const SIGNALS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGUSR2',
  'SIGALRM',
  'SIGTERM',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGXCPU',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
] as const satisfies readonly NodeJS.Signals[];

const NUMBERS: Readonly<Record<string, number | undefined>> = constants.signals;

let ignored: Set<NodeJS.Signals> | undefined;

/** Signals that are ignored because the caller ignores them. To be asked before anybody listens to one of them. */
export function ignoredSignals(): ReadonlySet<NodeJS.Signals> {
  ignored ??= new Set(otherRuntime() ? SIGNALS.filter((name) => libc()?.isIgnored(NUMBERS[name] ?? 0)) : []);
  return ignored;
}

/** Has the process ignore again what its caller ignores. Call it once, as early as possible. */
export function keepIgnoring(): void {
  const mask = Number(process.env[VARIABLE] ?? 0);
  delete process.env[VARIABLE];
  if (!Number.isSafeInteger(mask) || mask <= 0) return;
  const found = new Set<NodeJS.Signals>();
  for (const name of SIGNALS) {
    const number = NUMBERS[name];
    if (number === undefined || Math.floor(mask / 2 ** (number - 1)) % 2 === 0) continue;
    found.add(name);
    // What is not ignored by the kernel at least ends nothing.
    if (libc()?.ignore(number) !== 0) process.on(name, () => {});
  }
  ignored = found;
}
