/** The port of programs: processes of Node, whose standard streams are ours. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { MaybePromise } from '../../base/async.ts';
import { asBlockError, type BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { textOf } from '../../base/text.ts';
import type { ProgramEnd, RunningProgram } from '../../block/programs.ts';
import { Demand } from './demand.ts';
import { nodeError } from './fileErrors.ts';

/** Most bytes of a complaint that are kept. */
const COMPLAINT = 16384;

/** Bytes of output that are kept while nobody reads: then the program has to wait. */
const KEPT = 1048576;

/** Milliseconds that a program has to end by itself. */
const GRACE = 2000;

/** Milliseconds after its end in which what it wrote may still come: programs that it has started keep its streams open. */
const REST = 200;

/** What may keep a process from ending: streams of processes are sockets, which their types do not tell. */
interface Holding {
  ref?(): void;
  unref?(): void;
}

/** {@link ProgramPort.start}. */
export async function startProgram(name: string, args: readonly string[]): Promise<RunningProgram> {
  const path = process.env[`QIMG_${name.toUpperCase()}`] || name;
  // A session of its own: the terminal's signals are for this process, which decides what is still to be done.
  const child = spawn(path, args, { stdio: 'pipe', detached: true });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(asBlockError(nodeError(error, `Could not start '${path}'`, {}))));
  });
  return new NodeProgram(child);
}

class NodeProgram implements RunningProgram {
  readonly ended: Promise<ProgramEnd>;
  readonly #child: ChildProcessWithoutNullStreams;
  /** What has come and was not taken yet. */
  readonly #left: Uint8Array[] = [];
  #kept = 0;
  #complaint: Uint8Array = new Uint8Array();
  readonly #demand = new Demand();
  #closed = false;
  #held = true;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stdout.on('data', (bytes: Uint8Array) => this.#take(bytes));
    child.stdout.on('end', () => this.#finish());
    child.stdout.on('close', () => this.#finish());
    child.stderr.on('data', (bytes: Uint8Array) => {
      this.#complaint = Buffer.concat([this.#complaint, bytes]).subarray(-COMPLAINT);
    });
    // A program that is gone is noticed by the end of its output, and by those who write.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined);
    child.on('error', () => undefined);
    this.ended = this.#end();
  }

  read(into: Uint8Array): MaybePromise<number> {
    const demand = this.#demand;
    demand.checkFree();
    let filled = 0;
    while (filled < into.length && this.#left[0]) {
      const piece = this.#left[0];
      const taken = piece.subarray(0, into.length - filled);
      into.set(taken, filled);
      filled += taken.length;
      if (taken.length === piece.length) this.#left.shift();
      else this.#left[0] = piece.subarray(taken.length);
    }
    this.#kept -= filled;
    if (this.#kept < KEPT) this.#child.stdout.resume();
    if (filled === into.length) return filled;
    if (demand.failure) throw demand.failure;
    return demand.ended ? filled : demand.wait(into, filled);
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    const { failure } = this.#demand;
    if (failure) throw failure;
    const { stdin } = this.#child;
    this.#hold(true);
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => {
        if (!error) resolve();
        else reject(this.#demand.failure ?? asBlockError(nodeError(error, undefined, {})));
      };
      stdin.cork();
      for (const [index, piece] of pieces.entries()) stdin.write(piece, index === pieces.length - 1 ? done : undefined);
      stdin.uncork();
    });
  }

  patience(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (milliseconds === 0 || this.#demand.ended) return;
    this.#timer = setTimeout(() => this.#fail(systemError('ETIMEDOUT', undefined, {})), milliseconds);
  }

  linger(milliseconds: number): Promise<void> {
    this.#hold(false);
    // A process that ends closes the program's input, which ends the program.
    return new Promise((resolve) => void setTimeout(resolve, milliseconds).unref());
  }

  /** Whether the process waits for what the program does. */
  #hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    const { stdin, stdout, stderr } = this.#child;
    for (const one of [this.#child, stdin, stdout, stderr] as readonly Holding[]) {
      if (held) one.ref?.();
      else one.unref?.();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hold(true);
    this.#fail(systemError('ESHUTDOWN', undefined, {}));
    const child = this.#child;
    child.stdin.end();
    child.stdout.resume();
    const timer = setTimeout(() => child.kill('SIGKILL'), GRACE);
    void this.ended.then(() => clearTimeout(timer));
  }

  async #end(): Promise<ProgramEnd> {
    const child = this.#child;
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      closed,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, REST);
      }),
    ]);
    clearTimeout(timer);
    this.#finish();
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    return { code: code ?? undefined, complaint: textOf(this.#complaint) };
  }

  #take(bytes: Uint8Array): void {
    this.#timer?.refresh();
    if (this.#closed) return;
    const rest = bytes.subarray(this.#demand.put(bytes));
    if (rest.length === 0) return;
    this.#left.push(rest);
    this.#kept += rest.length;
    if (this.#kept >= KEPT) this.#child.stdout.pause();
  }

  #finish(): void {
    this.patience(0);
    this.#demand.finish();
  }

  #fail(error: BlockError): void {
    this.#demand.refuse(error);
    this.#finish();
  }
}
