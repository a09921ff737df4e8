/** What a server answers requests with, in each of the three forms (Simple reply message, Structured reply chunk message). */
import { asBlockError, type BlockError } from '../../../base/error.ts';
import { bytesOf } from '../../../base/text.ts';
import { Chunk, CHUNK_DONE, ERRORS, type Form, Magic, MAX_NAME } from '../numbers.ts';
import type { BlockStates } from '../answer.ts';

/** What identifies a request in its answer: eight bytes that mean nothing here. */
interface Cookie {
  readonly high: number;
  readonly low: number;
}

/** A request that was taken from a connection; its payload is still to come. */
export interface Asked extends Cookie {
  /** One of `Command`. */
  readonly command: number;
  /** Bits of `CommandFlag`. */
  readonly flags: number;
  /** More than what a number holds exactly only where that is beyond every export. */
  readonly offset: number;
  readonly length: number;
}

/** Numbers of the protocol that other errors count as. */
const SAME: Readonly<Record<string, string>> = {
  EACCES: 'EPERM',
  EROFS: 'EPERM',
  EDQUOT: 'ENOSPC',
  EFBIG: 'ENOSPC',
  ENOSYS: 'ENOTSUP',
};
const NUMBERS = new Map(Object.entries(ERRORS).map(([number, name]) => [name, Number(number)]));
const EIO = 5;

/** The number of an error (Error values). */
function numberOf({ code }: BlockError): number {
  return NUMBERS.get(SAME[code] ?? code) ?? EIO;
}

const SIMPLE = 16;
const STRUCTURED = 20;
const EXTENDED = 32;

function simple({ high, low }: Cookie, error: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(SIMPLE));
  view.setUint32(0, Magic.simpleReply);
  view.setUint32(4, error);
  view.setUint32(8, high);
  view.setUint32(12, low);
  return new Uint8Array(view.buffer);
}

/** Answers of one connection. */
export class Replies {
  readonly form: Form;

  constructor(form: Form) {
    this.form = form;
  }

  /** The beginning of a chunk, with room behind it for what belongs to it but the data of a read. */
  #chunk(asked: Asked, type: number, flags: number, own: number, data = 0): DataView {
    const extended = this.form === 'extended';
    const head = extended ? EXTENDED : STRUCTURED;
    const view = new DataView(new ArrayBuffer(head + own));
    view.setUint32(0, extended ? Magic.extendedReply : Magic.structuredReply);
    view.setUint16(4, flags);
    view.setUint16(6, type);
    view.setUint32(8, asked.high);
    view.setUint32(12, asked.low);
    if (extended) {
      setLong(view, 16, asked.offset);
      setLong(view, 24, own + data);
    } else view.setUint32(16, own + data);
    return view;
  }

  get #head(): number {
    return this.form === 'extended' ? EXTENDED : STRUCTURED;
  }

  /** Nothing more to say, and nothing went wrong. */
  success(asked: Asked): Uint8Array {
    if (this.form !== 'extended') return simple(asked, 0);
    return new Uint8Array(this.#chunk(asked, Chunk.none, CHUNK_DONE, 0).buffer);
  }

  /** The end of an answer of several chunks. */
  end(asked: Asked): Uint8Array {
    return new Uint8Array(this.#chunk(asked, Chunk.none, CHUNK_DONE, 0).buffer);
  }

  /** Something went wrong. It is the last of an answer. */
  failure(asked: Asked, thrown: unknown): Uint8Array {
    const error = asBlockError(thrown);
    const number = numberOf(error);
    if (this.form === 'simple') return simple(asked, number);
    const text = bytesOf(error.message).subarray(0, MAX_NAME);
    const view = this.#chunk(asked, Chunk.error, CHUNK_DONE, 6 + text.length);
    view.setUint32(this.#head, number);
    view.setUint16(this.#head + 4, text.length);
    const bytes = new Uint8Array(view.buffer);
    bytes.set(text, this.#head + 6);
    return bytes;
  }

  /** What stands in front of so many bytes of a read, from `offset` on. */
  data(asked: Asked, offset: number, length: number, last: boolean): Uint8Array {
    if (this.form === 'simple') return simple(asked, 0);
    const view = this.#chunk(asked, Chunk.data, last ? CHUNK_DONE : 0, 8, length);
    setLong(view, this.#head, offset);
    return new Uint8Array(view.buffer);
  }

  /** Zeroes in the place of bytes of a read. */
  hole(asked: Asked, offset: number, length: number, last: boolean): Uint8Array {
    const view = this.#chunk(asked, Chunk.hole, last ? CHUNK_DONE : 0, 12);
    setLong(view, this.#head, offset);
    view.setUint32(this.#head + 8, length);
    return new Uint8Array(view.buffer);
  }

  /** Block states of a context. */
  states(asked: Asked, context: number, { lengths, bits }: BlockStates, last: boolean): Uint8Array {
    const extended = this.form === 'extended';
    const [head, each] = extended ? [8, 16] : [4, 8];
    const type = extended ? Chunk.blockStatusExtended : Chunk.blockStatus;
    const view = this.#chunk(asked, type, last ? CHUNK_DONE : 0, head + each * lengths.length);
    const start = this.#head;
    view.setUint32(start, context);
    if (extended) view.setUint32(start + 4, lengths.length);
    for (const [index, length] of lengths.entries()) {
      const at = start + head + each * index;
      if (extended) {
        setLong(view, at, length);
        setLong(view, at + 8, bits[index] ?? 0);
      } else {
        view.setUint32(at, length);
        view.setUint32(at + 4, bits[index] ?? 0);
      }
    }
    return new Uint8Array(view.buffer);
  }
}

/** A number of eight bytes, which is exact up to 2^53. */
function setLong(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x100000000));
  view.setUint32(at + 4, value >>> 0);
}
