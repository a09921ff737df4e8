/** Numbers and texts from a connection, and to it. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { textOf } from '../../base/text.ts';
import type { Connection } from '../../block/net.ts';

/** Longest text that is taken from a server: what it calls an export, or has to say about an error. */
const MAX_TEXT = 65536;

/** Most bytes of a handshake: room for the names of all exports that anybody has. */
const MAX_TALK = 64 * MiB;

/** Reads from a connection; what is cut short is an error that says what it was. */
export class Incoming {
  readonly #connection: Connection;
  #taken = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** So many bytes. @param what for messages, for instance `option reply`. */
  async bytes(length: number, what: string): Promise<Uint8Array> {
    this.#taken += length;
    if (this.#taken > MAX_TALK) throw new BlockError('io', `Failed to read ${what}: the server talks too much`);
    const into = new Uint8Array(length);
    if (length === 0) return into;
    let count: number;
    try {
      count = await this.#connection.read(into);
    } catch (thrown) {
      const error = asBlockError(thrown);
      throw error.reworded(`Failed to read ${what}: Unable to read from socket: ${error.strerror}`);
    }
    if (count === length) return into;
    throw new BlockError('io', `Failed to read ${what}: Unexpected end-of-file before all data were read`);
  }

  /** So many bytes as numbers. */
  async view(length: number, what: string): Promise<DataView> {
    return new DataView((await this.bytes(length, what)).buffer);
  }

  /** A text of so many bytes, up to a NUL byte. */
  async text(length: number, what: string, tooLong: string): Promise<string> {
    if (length > MAX_TEXT) throw new BlockError('io', tooLong);
    const bytes = await this.bytes(length, what);
    const end = bytes.indexOf(0);
    return textOf(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Passes over so many bytes. */
  async skip(length: number, what: string): Promise<void> {
    for (let left = length; left > 0; left -= Math.min(left, MAX_TEXT))
      await this.bytes(Math.min(left, MAX_TEXT), what);
  }
}

/** Big-endian numbers and bytes, one behind the other. */
export function message(
  ...parts: readonly (readonly [size: 2 | 4 | 8, value: number | bigint] | Uint8Array)[]
): Uint8Array {
  const length = parts.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.length : part[0]), 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    if (part instanceof Uint8Array) {
      bytes.set(part, at);
      at += part.length;
      continue;
    }
    const [size, value] = part;
    if (size === 2) view.setUint16(at, Number(value));
    else if (size === 4) view.setUint32(at, Number(value));
    else view.setBigUint64(at, BigInt(value));
    at += size;
  }
  return bytes;
}
