/** What a command gets from outside: two streams, small files, the drivers, and somebody to have work done. */
import type { DriverRegistry } from '../block/graph/registry.ts';
import type { ObjectStore } from '../block/objects.ts';
import type { SecretStore } from '../block/services.ts';
import type { OperationContext } from '../operations/context.ts';
import type { Verb } from '../operations/verbs.ts';
import type { Progress } from './progress.ts';

/** How the result is shown; not part of what is done. */
export interface View {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Bytes that temporary files may hold, if that is said. */
  readonly spoolLimit?: number | undefined;
  /** Images come from somebody else. */
  readonly untrusted: boolean;
  readonly progress: Progress;
  readonly secrets: SecretStore;
  readonly objects: ObjectStore;
  /** Prints `qemu-img: warning: TEXT`. */
  warn(text: string): void;
  /** Prints `qemu-img: TEXT` when all else was printed. */
  warnLast(text: string): void;
}

/** What work is done in: the context of operations, and where the result goes. */
export interface Workplace {
  readonly context: OperationContext;
  readonly view: View;
  /** Standard output. */
  readonly out: (text: string) => void;
  /** Standard error. */
  readonly err: (text: string) => void;
}

/** Work that a command asks for when it has understood its arguments. */
export interface Job {
  readonly verb: Verb | 'option-help';
  /** What is to be done, as plain data. */
  readonly request: unknown;
  readonly view: View;
  /** Does it, prints the result, and gives the exit code. Failures are thrown. */
  readonly run: (place: Workplace) => Promise<number>;
}

/** The world of a command. */
export interface CommandIo {
  /** What was built, if that is not the program as it is installed. */
  readonly build?: string | undefined;
  /** Standard output. */
  out(text: string): void;
  /** Standard error. */
  err(text: string): void;
  /** A whole small file; fails with a `BlockError` that has the C library's text. */
  readFile(name: string): Promise<Uint8Array>;
  /** All drivers, for the general help. */
  drivers(): Promise<DriverRegistry>;
  /** Gives the work a place, and passes on its exit code. */
  execute(job: Job): Promise<number>;
  /** The program was called by the name of the real one: what that does not do by default has to be asked for. */
  readonly compatible?: boolean;
  /** True if a person sees the messages, who called the program by its own name: what only they care for may be said. */
  isWatched?(): Promise<boolean>;
  /** Calls `listener` whenever the user asks for progress by a signal; the result stops that. */
  onProgressSignal?(listener: () => void): () => void;
}
