/**
 * `-T`: selection of trace events. This program has no events, so only the mistakes show: the real tool's complaints
 * about options, missing lists, and events that do not exist.
 */
import { asBlockError } from '../base/error.ts';
import { textOf } from '../base/text.ts';
import { parseDescription } from '../options/keyval.ts';
import type { CommandIo } from './io.ts';
import { mistake } from './values.ts';

/** The part of the world that tracing needs. */
export type TraceIo = Pick<CommandIo, 'readFile' | 'err'>;

const OPTIONS: readonly string[] = ['enable', 'events', 'file'];

/** True for a pattern: patterns that match nothing bring no warning. */
function isPattern(event: string): boolean {
  return /[*?]/.test(event);
}

/**
 * Handles one `-T` argument.
 * @returns the exit code if that was all there is to do.
 */
export async function selectTrace(text: string, io: TraceIo): Promise<number | undefined> {
  const warn = (line: string, hint?: string): void =>
    io.err(`qemu-img: warning: ${line}\n${hint === undefined ? '' : `${hint}\n`}`);
  const values = new Map<string, string>();
  for (const { name, value } of parseDescription(text, 'enable', warn)) {
    if (!OPTIONS.includes(name)) throw mistake(`Invalid parameter '${name}'`);
    values.set(name, value);
  }
  const enable = values.get('enable') ?? '';
  if (enable === 'help' || enable === '?') return 0;
  const missing = (event: string): void => {
    if (!isPattern(event)) warn(`trace event '${event.replace(/^-/, '')}' does not exist`);
  };
  if (enable !== '') missing(enable);
  const list = values.get('events');
  if (list === undefined) return undefined;
  let bytes: Uint8Array;
  try {
    bytes = await io.readFile(list);
  } catch (thrown) {
    // The real tool prints the name straight behind its own.
    io.err(`qemu-img:${list}: ${asBlockError(thrown).strerror}\n`);
    return 1;
  }
  for (const event of eventsIn(bytes)) missing(event);
  return undefined;
}

/** Events of a file, one in each line; lines that start with `#` are comments. */
function eventsIn(bytes: Uint8Array): string[] {
  const lines = textOf(bytes).split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#') && !line.includes('\0'));
}
