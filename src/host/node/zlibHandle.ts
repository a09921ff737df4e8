/**
 * Drives the inner handle of a `node:zlib` stream directly.
 *
 * The public synchronous functions set up a stream for every call, which costs more than a small cluster itself. So
 * one stream object is kept per setting and its handle is called: `writeSync(flush, input, ...)` plus the two words in
 * `_writeState` (room left, input left). Those are internals, alike in Node 20 to 24 and in Bun: whoever uses this
 * tests it once and has another way where anything is amiss.
 */
import { createRequire } from 'node:module';
import type * as Zlib from 'node:zlib';

interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number, code: string) => void;
}
interface Internals {
  readonly _handle?: Handle;
  readonly _writeState?: Uint32Array;
}

let loaded: typeof Zlib | undefined;

/** `node:zlib`, loaded at the first call: most commands answer in less time than that takes. */
export function zlib(): typeof Zlib {
  loaded ??= createRequire(import.meta.url)('node:zlib') as typeof Zlib;
  return loaded;
}

/** The code for "this is all of the input": `Z_FINISH` of zlib, `ZSTD_e_end` of zstd. */
export type FinishCode = 4 | 2;

/** One stream object, used again for each whole stream of data. */
export class ReusedStream {
  readonly #make: () => object;
  readonly #finish: FinishCode;
  #stream: Required<Internals>;
  #failure: string | undefined;

  /**
   * @param make creates the stream; called again after an error, from which not every handle recovers.
   * @throws Error if the stream has not the internals.
   */
  constructor(make: () => object, finish: FinishCode) {
    this.#make = make;
    this.#finish = finish;
    this.#stream = this.#open();
  }

  #open(): Required<Internals> {
    const stream = this.#make() as Internals;
    const { _handle: handle, _writeState: state } = stream;
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function' || state?.length !== 2) {
      throw new Error('zlib has no such internals');
    }
    handle.onerror = (message) => {
      this.#failure = message;
    };
    return stream as Required<Internals>;
  }

  /** Codes all of `input`; returns the bytes written, at most `outputLength`, or what is wrong with the input. */
  run(input: Uint8Array, output: Uint8Array, outputLength: number): number | string {
    const { _handle: handle, _writeState: state } = this.#stream;
    handle.reset();
    handle.writeSync(this.#finish, input, 0, input.length, output, 0, outputLength);
    const failure = this.#failure;
    if (failure === undefined) return outputLength - (state[0] as number);
    this.#failure = undefined;
    this.#stream = this.#open();
    return failure;
  }
}

/**
 * Whether the internals of a pair of streams behave as expected: a round trip, a full output, a cut-off stream, and
 * recovery from each.
 */
export function selfTest(compressor: () => object, decompressor: () => object, finish: FinishCode): boolean {
  try {
    const text = new Uint8Array(4096).map((_, i) => (i * i) >> 7);
    const packer = new ReusedStream(compressor, finish);
    const reader = new ReusedStream(decompressor, finish);
    const packed = new Uint8Array(8192);
    const output = new Uint8Array(4096);
    const first = packer.run(text, packed, packed.length);
    const tooSmall = packer.run(text, output, 16);
    const second = packer.run(text, packed, packed.length);
    if (typeof first !== 'number' || first < 64 || first >= 4096 || tooSmall !== 16 || second !== first) return false;
    const cut = reader.run(packed.subarray(0, first - 8), output, 4096);
    const part = reader.run(packed, output, 100);
    // What follows the stream is ignored.
    const whole = reader.run(packed, output, 4096);
    return typeof cut === 'string' && part === 100 && whole === 4096 && text.every((byte, i) => byte === output[i]);
  } catch {
    return false;
  }
}
