/**
 * The codec port: what formats need for compressed data. Hosts implement it (`src/host/*`), formats only call it.
 * Types only, so that a format can name a codec without loading it.
 */
import type { MaybePromise } from '../base/async.ts';
import type { ByteStream } from '../base/byteStream.ts';

/**
 * How to compress.
 * `deflate-raw` is RFC 1951 without a wrapper, `zlib` is RFC 1950, `zstd` is RFC 8878.
 */
export interface Compression {
  readonly method: 'deflate-raw' | 'zlib' | 'zstd';
  /** Effort; the default is 6 for deflate (zlib's own) and 3 for zstd. */
  readonly level?: number;
  /** Deflate only: base-2 logarithm of the window, 9 to 15 (default 15). The reader's window must be as large. */
  readonly windowBits?: number;
  /** Deflate only: memory of the match finder, 1 to 9 (default 8). */
  readonly memLevel?: number;
}

/** How to decompress. */
export interface Decompression {
  readonly method: 'deflate-raw' | 'zlib' | 'zstd' | 'bzip2' | 'lzfse' | 'adc' | 'xz';
  /** Deflate only: window of the decoder, 8 to 15 (default 15, which reads every stream). */
  readonly windowBits?: number;
}

/**
 * Compressions of whole files, which may have any length: `gzip` is RFC 1952, with several members; `xz`, `zstd` and `bzip2` may
 * have several streams or frames; `deflate-raw` is one stream.
 */
export type FileCompression = 'gzip' | 'xz' | 'zstd' | 'bzip2' | 'deflate-raw';

/** One stream of a batch: decoded from `input` into `output`. */
export interface DecompressPiece {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
}

/** Decodes a stream into `into`; see `CodecPort.decompress`. */
export type Decoder = (input: Uint8Array, into: Uint8Array) => number;
/** A decoder as those of other methods, that answers later. */
export type LateDecoder = (input: Uint8Array, into: Uint8Array) => Promise<number>;
/** Compresses `input`; undefined if that takes `limit` bytes or more. The result is valid until the next call. */
export type Encoder = (input: Uint8Array, limit: number) => Uint8Array | undefined;

/**
 * Compression and decompression. Arrays passed in must stay untouched until the call is done; they may be views on
 * shared memory. Damaged data throws a `BlockError` of kind `io`.
 */
export interface CodecPort {
  /**
   * Decodes one stream and returns the number of its bytes at the start of `into`; what is behind them may change.
   * - Bytes after the end of the stream are ignored.
   * - A stream that yields more than `into` holds is not an error: decoding stops there, and `into.length` is returned.
   * - A complete stream that yields less returns its length: whether that is an error is the caller's decision.
   * - A stream that ends early before `into` is full, or is damaged, throws kind `io`. What `into` holds then is undefined.
   */
  decompress(how: Decompression, input: Uint8Array, into: Uint8Array): MaybePromise<number>;

  /**
   * Decodes many streams, on all cores when that pays. Returns the number of bytes of each piece, with the rules of
   * {@link decompress}; the first damaged piece, if any, rejects the whole batch.
   */
  decompressBatch(how: Decompression, pieces: readonly DecompressPiece[]): Promise<number[]>;

  /**
   * Compresses each `unit` bytes of `input` (the last unit may be shorter) to a stream of its own, on all cores when
   * that pays; several batches may be in flight. An entry is undefined where the stream would not be shorter than
   * `limit` bytes. The results may be views into one common array.
   * @param mayOverwrite the streams may take the places of what they code, instead of new memory; units without one stay.
   */
  compressBatch(
    how: Compression,
    input: Uint8Array,
    unit: number,
    limit: number,
    mayOverwrite?: boolean,
  ): Promise<(Uint8Array | undefined)[]>;

  /**
   * Decodes a file that is read in order, in memory that does not depend on its length; absent where a host cannot. All checksums that it has are checked.
   * What is damaged, cut off, or followed by something else throws kind `io`; nobody takes more of `input` than it needs but for
   * reading ahead. Closing the result closes `input`.
   */
  expand?(method: FileCompression, input: ByteStream): Promise<ByteStream>;
}
