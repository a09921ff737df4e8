/** Heads and bodies of answers of HTTP/1.1 (RFC 9112) as they come over a connection. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';

/** Longest head, as curl has it. */
const MAX_HEAD = 300 * KiB;
/** Longest line that says how long a chunk is. */
const MAX_LINE = 4 * KiB;
/** Heads are looked for in so many bytes at a time. */
const PIECE = 8 * KiB;

/** Bytes from somewhere: fills `into` with at least `least` bytes, fewer only at the end of all. */
export type ReadSome = (into: Uint8Array, least: number) => MaybePromise<number>;

/** The head of an answer. */
export interface Head {
  readonly status: number;
  /** HTTP/1.1 or newer. */
  readonly modern: boolean;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
}

const NO_HTTP = 'Received HTTP/0.9 when not allowed';

/** What comes over a connection, of which some may have come with the head already. */
export class Arriving {
  readonly #read: ReadSome;
  #left: Uint8Array = new Uint8Array();

  constructor(read: ReadSome) {
    this.#read = read;
  }

  /** Fills `into`; less only at the end of all. */
  async fill(into: Uint8Array): Promise<number> {
    return this.some(into, into.length);
  }

  /** At least `least` bytes; fewer only at the end of all. */
  async some(into: Uint8Array, least: number): Promise<number> {
    const kept = Math.min(this.#left.length, into.length);
    into.set(this.#left.subarray(0, kept));
    this.#left = this.#left.subarray(kept);
    if (kept >= least) return kept;
    return kept + (await this.#read(kept === 0 ? into : into.subarray(kept), least - kept));
  }

  /** Bytes up to and including a text, which has to come within `limit` bytes; undefined: the end of all has come before. */
  async through(end: string, limit: number): Promise<string | undefined> {
    let seen = new Uint8Array();
    let at = -1;
    while (at < 0) {
      if (seen.length >= limit) throw new BlockError('io', `Too large response headers: ${seen.length} > ${limit}`);
      const piece = new Uint8Array(PIECE);
      const count = await this.some(piece, 1);
      if (count === 0) return seen.length === 0 ? undefined : fail(NO_HTTP);
      const start = Math.max(0, seen.length - end.length);
      seen = Buffer.concat([seen, piece.subarray(0, count)]);
      at = Buffer.from(seen.buffer, seen.byteOffset, seen.length).indexOf(end, start, 'latin1');
      if (start === 0 && !mayBeHttp(seen) && end.length > 2) throw new BlockError('io', NO_HTTP);
    }
    const length = at + end.length;
    this.#left = Buffer.concat([seen.subarray(length), this.#left]);
    return Buffer.from(seen.buffer, seen.byteOffset, length).toString('latin1');
  }

  /** The next head; undefined if the connection has ended without a byte of it. */
  async head(): Promise<Head | undefined> {
    for (;;) {
      const text = await this.through('\r\n\r\n', MAX_HEAD);
      if (text === undefined) return undefined;
      const head = parseHead(text);
      // What is only said in between (RFC 9110, section 15.2) has no body.
      if (head.status >= 200) return head;
    }
  }

  /** How many bytes the next chunk has; 0 after the last one, whose trailers are read. */
  async chunk(isFirst: boolean): Promise<number> {
    const text = await this.through('\r\n', MAX_LINE);
    // Behind each chunk the line ends.
    const line = isFirst || text !== '\r\n' ? text : await this.through('\r\n', MAX_LINE);
    const [, digits] = /^([\da-f]{1,13})[ \t]*(?:;.*)?\r\n$/is.exec(line ?? '') ?? [];
    if (digits === undefined) throw new BlockError('io', 'Malformed encoding found in chunked-encoding');
    const length = Number.parseInt(digits, 16);
    if (length > 0) return length;
    while ((await this.through('\r\n', MAX_LINE))?.length !== 2);
    return 0;
  }
}

function fail(message: string): never {
  throw new BlockError('io', message);
}

function mayBeHttp(bytes: Uint8Array): boolean {
  return 'HTTP/'.startsWith(Buffer.from(bytes.subarray(0, 5)).toString('latin1'));
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.slice(0, -4).split('\r\n');
  const [, minor, status] = /^HTTP\/1\.(\d) (\d{3})(?: .*)?$/s.exec(first) ?? fail(NO_HTTP);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/s.exec(line) ?? [];
    if (name === undefined) throw new BlockError('io', 'Header without colon');
    const key = name.toLowerCase();
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    if (key === 'content-length' && (!/^\d+$/.test(value) || (before !== undefined && before !== value))) {
      throw new BlockError('io', 'Invalid Content-Length: value');
    }
    headers[key] = before === undefined || key === 'content-length' ? value : `${before}, ${value}`;
  }
  return { status: Number(status), modern: minor !== '0', headers };
}

/** The body of an answer: its bytes, and whether all of them were read. */
export class Body {
  readonly #arriving: Arriving;
  /** Bytes that are missing of the body, or of the chunk; infinite: all that comes. */
  #missing: number;
  readonly #chunked: boolean;
  #isFirst = true;
  /** All of it was read. */
  complete: boolean;

  /** @param method of the request. */
  constructor(arriving: Arriving, { status, headers }: Head, method: string) {
    this.#arriving = arriving;
    const none = method === 'HEAD' || status === 204 || status === 304;
    this.#chunked = /\bchunked$/i.test(headers['transfer-encoding'] ?? '');
    const { 'content-length': length } = headers;
    this.#missing = none || this.#chunked ? 0 : length === undefined ? Number.POSITIVE_INFINITY : Number(length);
    this.complete = none || (!this.#chunked && this.#missing === 0);
  }

  /** Bytes that are still to come, as far as that is known. */
  get missing(): number {
    return this.#chunked ? Number.POSITIVE_INFINITY : this.#missing;
  }

  /**
   * At least `least` bytes; fewer only at the end.
   * @throws BlockError if the connection ends before.
   */
  async read(into: Uint8Array, least: number, ended: () => BlockError): Promise<number> {
    let filled = 0;
    while (filled < least && !this.complete) {
      if (this.#chunked && this.#missing === 0) {
        this.#missing = await this.#arriving.chunk(this.#isFirst);
        this.#isFirst = false;
        this.complete = this.#missing === 0;
        continue;
      }
      const part = into.subarray(filled, filled + Math.min(this.#missing, into.length - filled));
      const count = await this.#arriving.some(part, Math.min(part.length, least - filled));
      filled += count;
      this.#missing -= count;
      if (count === 0) {
        if (Number.isFinite(this.#missing)) throw ended();
        this.complete = true;
      } else if (this.#missing === 0 && !this.#chunked) this.complete = true;
    }
    return filled;
  }
}
