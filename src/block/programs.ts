/** The port through which other programs of this machine do work for us. */
import type { ByteStreams } from './net.ts';

/** What became of a program. */
export interface ProgramEnd {
  /** Exit code; undefined if a signal ended it. */
  readonly code: number | undefined;
  /** What it wrote to its standard error, the end of it if that was long. */
  readonly complaint: string;
}

/**
 * A program that runs: what is written goes to its standard input, what is read comes from its standard output. `close` ends
 * its input, and ends the program if it does not go by itself then.
 */
export interface RunningProgram extends ByteStreams {
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<ProgramEnd>;
  /**
   * Nobody needs it just now: until something is written again, this process ends without waiting for it. Resolves after so many
   * milliseconds, if the process is still there.
   */
  linger(milliseconds: number): Promise<void>;
}

/** Starts programs. They do not get what the user's terminal sends, and end when this process does. */
export interface ProgramPort {
  /**
   * Starts a program of that name, or the one that the user prefers to it (a variable of the environment, by the host).
   * @throws BlockError `Could not start 'NAME': No such file or directory`, or why else.
   */
  start(name: string, args: readonly string[]): Promise<RunningProgram>;
}
