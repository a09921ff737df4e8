/**
 * `-T`: selection of trace events. This program has no events, so only the mistakes show: the real tool's complaints
 * about options, missing lists, and events that do not exist.
 */
import { BlockError } from '../base/error.ts';
import { textOf } from '../base/text.ts';
import { parseDescription } from '../options/keyval.ts';
import { mistake } from './values.ts';

/** The part of the world that tracing needs. */
export interface TraceFiles {
  readFile(name: string): Promise<Uint8Array>;
}

const OPTIONS: readonly string[] = ['enable', 'events', 'file'];

/** True for a pattern: patterns that match nothing bring no warning. */
function isPattern(event: string): boolean {
  return /[*?]/.test(event);
}

/**
 * Handles one `-T` argument.
 * @param warn gets the text of each warning, and the line under it.
 * @returns true if the list of events was asked for.
 */
export async function selectTrace(
  text: string,
  files: TraceFiles,
  warn: (text: string, hint?: string) => void,
): Promise<boolean> {
  const values = new Map<string, string>();
  for (const { name, value } of parseDescription(text, 'enable', warn)) {
    if (!OPTIONS.includes(name)) throw mistake(`Invalid parameter '${name}'`);
    values.set(name, value);
  }
  const enable = values.get('enable') ?? '';
  if (enable === 'help' || enable === '?') return true;
  const missing = (event: string): void => {
    if (!isPattern(event)) warn(`trace event '${event.replace(/^-/, '')}' does not exist`);
  };
  if (enable !== '') missing(enable);
  const list = values.get('events');
  if (list !== undefined) {
    for (const event of await readList(list, files)) missing(event);
  }
  return false;
}

/** Events of a file, one in each line; lines that start with `#` are comments. */
async function readList(name: string, files: TraceFiles): Promise<string[]> {
  let bytes: Uint8Array;
  try {
    bytes = await files.readFile(name);
  } catch (thrown) {
    if (!(thrown instanceof BlockError)) throw thrown;
    // The real tool prints the name straight behind its own.
    throw new TraceListError(`${name}: ${thrown.strerror}`, { cause: thrown });
  }
  const lines = textOf(bytes).split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#') && !line.includes('\0'));
}

/** A list of events that cannot be read; printed without a space behind the program's name. */
class TraceListError extends Error {
  override readonly name = 'TraceListError';
}
