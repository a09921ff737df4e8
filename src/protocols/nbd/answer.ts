/** What has come of the reply to one request. */
import { BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { Chunk, Command, ERRORS } from './numbers.ts';

/** A request to a server, but for its number. */
export interface Request {
  /** One of `Command`. */
  readonly command: number;
  /** Bits of `CommandFlag`. */
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** What is written. Nobody changes it before the request is done. */
  readonly data?: Uint8Array;
  /** Where what is read goes. */
  readonly into?: Uint8Array;
}

/** States of the blocks from some offset on. */
export interface BlockStates {
  /** Bytes of each run. */
  readonly lengths: Float64Array;
  /** Bits of each run, whose meaning the context tells. */
  readonly bits: Uint32Array;
}

/** The server does not keep to the protocol in the answer to a request. */
export function invalidReply(text: string): BlockError {
  return new BlockError('invalid-argument', `NBD: ${text}`, { posix: { code: 'EINVAL', text: 'Invalid argument' } });
}

/** The error of a number that a server gave. */
export function serverError(number: number): BlockError {
  return systemError(ERRORS[number] ?? 'EINVAL', undefined, {});
}

/** Error chunks of which kind are for which commands does not matter: nothing is read into them. */
const STATUS_CHUNKS: readonly number[] = [Chunk.blockStatus, Chunk.blockStatusExtended];

/** Most chunks of one answer: nobody cuts 32 MiB so small, but somebody might send them for ever. */
const MAX_CHUNKS = 65536;

/** A request under way, and the parts of the answer that have come. */
export class Answer {
  readonly request: Request;
  states: BlockStates | undefined;
  /** The first error that the server told. */
  error: BlockError | undefined;
  /** End of what has come in order, counted from the request's offset. */
  #reached = 0;
  /** What has come besides, out of order. */
  readonly #apart: { readonly start: number; readonly end: number }[] = [];
  #chunks = 0;
  readonly #settle: (error?: BlockError) => void;

  /** @param settle is called once. */
  constructor(request: Request, settle: (error?: BlockError) => void) {
    this.request = request;
    this.#settle = settle;
  }

  /** The part of the buffer for a piece of what is read, which counts as filled from now on. */
  part(offset: number, length: number): Uint8Array {
    const { into, offset: first } = this.request;
    const start = offset - first;
    if (!into || length <= 0 || start < 0 || start + length > into.length) {
      throw invalidReply('server sent data that nobody asked for');
    }
    if (start === this.#reached) this.#reached += length;
    else this.#apart.push({ start, end: start + length });
    return start === 0 && length === into.length ? into : into.subarray(start, start + length);
  }

  /** Throws unless a chunk of that type can be part of the answer. */
  admit(type: number): void {
    const { command } = this.request;
    if (++this.#chunks > MAX_CHUNKS) throw invalidReply('answer without an end');
    const reads = type === Chunk.data || type === Chunk.hole;
    const tells = STATUS_CHUNKS.includes(type);
    if ((reads && command !== Command.read) || (tells && command !== Command.blockStatus)) {
      throw invalidReply(`unexpected chunk type ${type}`);
    }
    if (tells && this.states) throw invalidReply('several answers for one context');
  }

  /** The server has nothing more to say. */
  done(): void {
    this.#settle(this.error ?? this.#missing());
  }

  /** Nothing more is going to come. */
  fail(error: BlockError): void {
    this.#settle(error);
  }

  #missing(): BlockError | undefined {
    const { command, into } = this.request;
    if (command === Command.blockStatus && !this.states) {
      return new BlockError('io', 'Input/output error');
    }
    if (!into) return undefined;
    let reached = this.#reached;
    for (const { start, end } of this.#apart.sort((a, b) => a.start - b.start)) {
      if (start <= reached) reached = Math.max(reached, end);
    }
    return reached >= into.length ? undefined : invalidReply('server sent less data than it was asked for');
  }
}
