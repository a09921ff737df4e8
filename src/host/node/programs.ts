/** The port of programs: processes of Node, whose standard streams are ours. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { textOf } from '../../base/text.ts';
import type { ProgramEnd, RunningProgram } from '../../block/programs.ts';
import { nodeError } from './fileErrors.ts';

/** Most bytes of a complaint that are kept. */
const COMPLAINT = 16384;

/** Bytes of output that are kept while nobody reads: then the program has to wait. */
const KEPT = 1048576;

/** Milliseconds that a program has to end by itself. */
const GRACE = 2000;

/** Milliseconds after its end in which what it wrote may still come: programs that it has started keep its streams open. */
const REST = 200;

/** Somebody who waits for bytes. */
interface Reader {
  readonly into: Uint8Array;
  filled: number;
  resolve(count: number): void;
  reject(error: BlockError): void;
}

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
  #reader: Reader | undefined;
  #finished = false;
  #closed = false;
  #held = true;
  #failure: BlockError | undefined;
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
    if (this.#reader) throw new BlockError('internal', 'two reads at the same time');
    const reader: Reader = { into, filled: 0, resolve: () => undefined, reject: () => undefined };
    while (reader.filled < into.length && this.#left[0]) {
      const piece = this.#left[0];
      const taken = fill(reader, piece);
      this.#kept -= taken;
      if (taken === piece.length) this.#left.shift();
      else this.#left[0] = piece.subarray(taken);
    }
    if (this.#kept < KEPT) this.#child.stdout.resume();
    if (reader.filled === into.length) return reader.filled;
    if (this.#failure) throw this.#failure;
    if (this.#finished) return reader.filled;
    return new Promise((resolve, reject) => {
      this.#reader = Object.assign(reader, { resolve, reject });
    });
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#failure) throw this.#failure;
    const { stdin } = this.#child;
    this.#hold(true);
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => {
        if (!error) resolve();
        else reject(this.#failure ?? asBlockError(nodeError(error, undefined, {})));
      };
      stdin.cork();
      for (const [index, piece] of pieces.entries()) stdin.write(piece, index === pieces.length - 1 ? done : undefined);
      stdin.uncork();
    });
  }

  patience(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (milliseconds === 0 || this.#finished) return;
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
    const reader = this.#reader;
    const taken = reader ? fill(reader, bytes) : 0;
    if (taken < bytes.length) {
      this.#left.push(bytes.subarray(taken));
      this.#kept += bytes.length - taken;
      if (this.#kept >= KEPT) this.#child.stdout.pause();
    }
    if (!reader || reader.filled < reader.into.length) return;
    this.#reader = undefined;
    reader.resolve(reader.filled);
  }

  #finish(): void {
    this.#finished = true;
    this.patience(0);
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#failure) reader?.reject(this.#failure);
    else reader?.resolve(reader.filled);
  }

  #fail(error: BlockError): void {
    this.#failure ??= error;
    this.#finish();
  }
}

/** Moves bytes to whoever waits for them; gives how many. */
function fill(reader: Reader, bytes: Uint8Array): number {
  const { into, filled } = reader;
  const taken = Math.min(bytes.length, into.length - filled);
  into.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), filled);
  reader.filled += taken;
  return taken;
}
