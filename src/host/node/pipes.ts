/** Standard input and output as streams of bytes, and streams of callers. */
import { fstatSync, read, write } from 'node:fs';
import { isatty } from 'node:tty';
import type { ByteSink, ByteStream } from '../../base/byteStream.ts';
import { BlockError, unsupported } from '../../base/error.ts';
import type { PipePort } from '../../block/pipes.ts';
import { nodeError } from './fileErrors.ts';

const INPUT = 0;
const OUTPUT = 1;
/** How long to wait for a pipe that somebody has made non-blocking, in milliseconds. */
const WAIT = 2;

function code(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Repeats a call while the other end is not ready. */
async function patiently(call: (done: (error: Error | null, count: number) => void) => void): Promise<number> {
  for (;;) {
    try {
      return await new Promise<number>((resolve, reject) => {
        call((error, count) => (error ? reject(error) : resolve(count)));
      });
    } catch (error) {
      if (code(error) !== 'EAGAIN') throw error;
      await new Promise((resolve) => setTimeout(resolve, WAIT));
    }
  }
}

const input: ByteStream = {
  async read(into) {
    try {
      return await patiently((done) => read(INPUT, into, 0, into.length, null, done));
    } catch (error) {
      if (code(error) === 'EOF') return 0;
      throw nodeError(error, 'Could not read standard input', { filename: '-', access: 'read' });
    }
  },
  close: () => undefined,
};

const output: ByteSink = {
  async write(bytes) {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += await patiently((done) => write(OUTPUT, bytes, at, bytes.length - at, null, done));
      } catch (error) {
        throw nodeError(error, undefined, { filename: '-', access: 'write' });
      }
    }
  },
  finish: () => undefined,
  abandon: () => undefined,
};

/** The standard streams of this process. */
export const standardPipes: PipePort = {
  input: () => {
    if (isatty(INPUT)) throw unsupported('An image cannot be read from a terminal');
    return input;
  },
  inputFile() {
    try {
      return fstatSync(INPUT).isFile() ? `/dev/fd/${INPUT}` : undefined;
    } catch (error) {
      throw nodeError(error, 'Could not read standard input', { filename: '-', access: 'read' });
    }
  },
  output: () => {
    if (isatty(OUTPUT)) throw unsupported('An image is not written to a terminal');
    return output;
  },
};

/** What a caller reads from: `ReadableStream` of the web, `Readable` of Node, and whatever else gives arrays of bytes. */
export type InputStream = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** What is used of `Writable` of Node, whose types not every caller has. */
export interface NodeWritable {
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean;
  end(done: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
  destroy?(error: Error): unknown;
}

/** What a caller has written to: `WritableStream` of the web, or `Writable` of Node. */
export type OutputStream = WritableStream<Uint8Array> | NodeWritable;

async function nextOf(
  pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
): Promise<IteratorResult<Uint8Array, unknown>> {
  try {
    return await pieces.next();
  } catch (thrown) {
    throw new BlockError('io', `The input failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown,
    });
  }
}

function inputOf(stream: InputStream): ByteStream {
  const pieces =
    Symbol.asyncIterator in stream
      ? stream[Symbol.asyncIterator]()
      : (stream as Iterable<Uint8Array>)[Symbol.iterator]();
  let held: Uint8Array = new Uint8Array(0);
  return {
    async read(into) {
      while (held.length === 0) {
        const { done, value } = await nextOf(pieces);
        if (done) return 0;
        held = value;
      }
      const count = Math.min(into.length, held.length);
      into.set(held.subarray(0, count));
      held = held.subarray(count);
      return count;
    },
    close: async () => void (await pieces.return?.()),
  };
}

function webSink(stream: WritableStream<Uint8Array>): ByteSink {
  const writer = stream.getWriter();
  return {
    write: (bytes) => writer.write(bytes.slice()),
    finish: () => writer.close(),
    abandon: () => writer.abort(new BlockError('aborted', 'The image is not complete')).catch(() => undefined),
  };
}

function nodeSink(stream: NodeWritable): ByteSink {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => stream.write(bytes.slice(), (error) => (error ? reject(error) : resolve()))),
    finish: () =>
      new Promise((resolve, reject) => {
        stream.once('error', reject);
        stream.end(() => resolve());
      }),
    abandon: () => {
      stream.on('error', () => undefined);
      stream.destroy?.(new BlockError('aborted', 'The image is not complete'));
    },
  };
}

/** Streams of a caller, each of which is good for one image. */
export function callersPipes(from: InputStream | undefined, to: OutputStream | undefined): PipePort {
  const coming = from && inputOf(from);
  return {
    input() {
      if (!coming) throw unsupported("There is no 'input' that could be read");
      return coming;
    },
    inputFile: () => undefined,
    output() {
      if (!to) throw unsupported("There is no 'output' that could be written to");
      return 'getWriter' in to ? webSink(to) : nodeSink(to);
    },
  };
}
