/** What all commands share: reading options, `--help`, `--object`, and turning whatever is thrown into one line. */
import { asBlockError } from '../base/error.ts';
import { ArgumentError, ArgumentReader, type ReaderRules } from './argv.ts';
import { type CommandSyntax, commandHelp } from './help.ts';
import { errorLines } from './hints.ts';
import { type ModuleOf, type RequestOf, type Verb, VERBS } from '../operations/verbs.ts';
import type { CommandIo, Job, View, Workplace } from './io.ts';
import type { ObjectRegistry } from './objects.ts';
import { Progress } from './progress.ts';

/** A command of the program. */
export interface Command {
  readonly syntax: CommandSyntax;
  /**
   * Runs the command.
   * @param args arguments behind the command's name.
   * @returns the exit code; nothing is thrown.
   */
  run(args: readonly string[], io: CommandIo): Promise<number>;
}

/** A mistake on the command line that is followed by a pointer to `--help`. */
export class UsageError extends Error {}

/** The command is done early and has printed what it had to say. */
class EarlyExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super('');
    this.code = code;
  }
}

/** Does the work of a command with its operation and prints the result; gives the exit code, throws failures. */
export type Executor<V extends Verb> = (
  operation: ModuleOf<V>,
  request: RequestOf<V>,
  place: Workplace,
) => Promise<number>;

/** Options about how a result is shown. */
interface Shown {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean;
  readonly spoolLimit?: number | undefined;
}

/** What reads the values of some options, as soon as they come. */
export type OptionReaders = Readonly<Record<string, (text: string) => unknown>>;

/** What was on a command line. */
export interface Given<R extends OptionReaders = OptionReaders> {
  readonly operands: readonly string[];
  /** What the readers made of the last value of each option. */
  readonly values: { readonly [K in keyof R]?: ReturnType<R[K]> };
  /** True if the option was there. */
  has(id: string): boolean;
  /** The last value of an option as it was written. */
  text(id: string): string | undefined;
}

/** One run of one command. */
export class Session {
  readonly io: CommandIo;
  readonly #syntax: CommandSyntax;
  #objects: ObjectRegistry | undefined;
  #progress: Progress | undefined;
  /** `--untrusted` was there. */
  #untrusted = false;
  /** Exit code of failures from here on. */
  failureCode = 1;
  /** A failure ends the real tool on the spot: it does not close anything, and has nothing to say of that. */
  endsAbruptly = false;
  /** Lines that come after all others: images are closed in the end. */
  #last = '';

  constructor(syntax: CommandSyntax, io: CommandIo) {
    this.#syntax = syntax;
    this.io = io;
  }

  /** Prints a warning, and the lines under it. */
  readonly warn = (text: string, hint?: string): void => {
    // Advice that is part of a warning ends without a line feed in the real tool.
    const end = text.includes('\n') ? '' : '\n';
    this.io.err(`qemu-img: warning: ${text}${end}${hint === undefined ? '' : `${hint}\n`}`);
  };

  /** Reads everything from left to right; handles `--help` and `--object`. */
  async read<R extends OptionReaders>(args: readonly string[], readers: R, rules: ReaderRules = {}): Promise<Given<R>> {
    const reader = new ArgumentReader(args, this.#syntax.options, rules);
    const operands: string[] = [];
    const texts = new Map<string, string>();
    const values: Record<string, unknown> = {};
    for (let argument = reader.next(); argument !== undefined; argument = reader.next()) {
      if (argument.kind === 'operand') {
        operands.push(argument.value);
        continue;
      }
      if (argument.id === 'help') {
        this.io.out(commandHelp(this.#syntax));
        throw new EarlyExit(0);
      }
      if (argument.id === 'untrusted') this.#untrusted = true;
      if (argument.id === 'object') await this.#addObject(argument.value);
      else {
        texts.set(argument.id, argument.value);
        values[argument.id] = readers[argument.id]?.(argument.value);
      }
    }
    return {
      operands,
      // Each was made by the reader of its name.
      values: values as Given<R>['values'],
      has: (id) => texts.has(id),
      text: (id) => texts.get(id),
    };
  }

  async #addObject(text: string): Promise<void> {
    const { ObjectRegistry } = await import('./objects.ts');
    this.#objects ??= new ObjectRegistry(this.io);
    const help = await this.#objects.add(text);
    if (help === undefined) return;
    this.io.out(help);
    throw new EarlyExit(0);
  }

  /** The progress line of this run, with so many percentage points between two lines. */
  progress(enabled: boolean, step?: number): Progress {
    this.#progress = new Progress(this.io, enabled, step);
    return this.#progress;
  }

  /** Has the work of a verb done; its operation is loaded then. */
  execute<V extends Verb>(verb: V, request: RequestOf<V>, executor: Executor<V>, how: Shown = {}): Promise<number> {
    const run = async (place: Workplace): Promise<number> =>
      executor((await VERBS[verb]()) as ModuleOf<V>, request, place);
    return this.work(verb, request, run, how);
  }

  /** Has work done. */
  async work(verb: Job['verb'], request: unknown, run: Job['run'], how: Shown = {}): Promise<number> {
    const progress = this.#progress ?? this.progress(false);
    const { noSecrets } = await import('./secrets.ts');
    const view: View = {
      json: how.json === true,
      quiet: how.quiet === true,
      spoolLimit: how.spoolLimit,
      untrusted: this.#untrusted,
      progress,
      secrets: this.#objects ?? noSecrets,
      objects: this.#objects?.named ?? new Map(),
      warn: this.warn,
      warnLast: (text) => {
        this.#last += `qemu-img: ${text}\n`;
      },
    };
    const stop = this.io.onProgressSignal?.(() => progress.request());
    try {
      return await this.io.execute({ verb, request, view, run });
    } finally {
      stop?.();
      this.#objects?.wipe();
    }
  }

  /** Runs `body`; its failures become lines and an exit code. */
  async guard(body: () => Promise<number>): Promise<number> {
    try {
      const code = await body();
      this.#progress?.finish();
      if (this.#last !== '') this.io.err(this.#last);
      return code;
    } catch (thrown) {
      this.#progress?.finish();
      return this.#report(thrown);
    }
  }

  #report(thrown: unknown): number {
    if (thrown instanceof EarlyExit) return thrown.code;
    const { name } = this.#syntax;
    if (thrown instanceof ArgumentError || thrown instanceof UsageError) {
      const prefix = thrown instanceof ArgumentError ? `qemu-img ${name}: ` : 'qemu-img: ';
      this.io.err(`${prefix}${thrown.message}\nTry 'qemu-img ${name} --help' for more information\n`);
      return 1;
    }
    const error = asBlockError(thrown);
    // The real tool ends on the spot.
    if (error.kind === 'mismatch') {
      this.io.err(`${error.message}\n`);
      return 1;
    }
    this.io.err(errorLines(error) + (this.endsAbruptly ? '' : this.#last));
    return this.failureCode;
  }
}

/** A command from its syntax and what it does with its arguments. */
export function defineCommand(
  syntax: CommandSyntax,
  body: (session: Session, args: readonly string[]) => Promise<number>,
): Command {
  return {
    syntax,
    run(args, io) {
      const session = new Session(syntax, io);
      return session.guard(() => body(session, args));
    },
  };
}
