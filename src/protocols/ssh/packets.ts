/** Packets of SFTP: numbers, strings and attributes, one behind the other (sections 3 and 5). */
import { BlockError } from '../../base/error.ts';
import { bytesOf, textOf } from '../../base/text.ts';
import { Attribute } from './numbers.ts';

/** The server does not keep to the protocol. */
export function invalidReply(text: string): BlockError {
  return new BlockError('io', `SFTP: ${text}`, { posix: { code: 'EIO', text: 'Input/output error' } });
}

/** A part of a packet: a number of 4 or 8 bytes, or a string with its length in front. */
export type Part = readonly [size: 4 | 8, value: number] | Uint8Array | string;

/**
 * A packet but for what stands behind it.
 * @param id undefined: the packet has none.
 * @param behind bytes that are sent right behind it and are part of it.
 */
export function packet(type: number, id: number | undefined, parts: readonly Part[], behind = 0): Uint8Array {
  const known = parts.map((part) => (typeof part === 'string' ? bytesOf(part) : part));
  const head = id === undefined ? 5 : 9;
  const sizes = known.map((part) => (part instanceof Uint8Array ? 4 + part.length : part[0]));
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, head));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4 + behind);
  bytes[4] = type;
  if (id !== undefined) view.setUint32(5, id);
  let at = head;
  for (const [index, part] of known.entries()) {
    if (part instanceof Uint8Array) {
      view.setUint32(at, part.length);
      bytes.set(part, at + 4);
    } else if (part[0] === 4) view.setUint32(at, part[1]);
    else view.setBigUint64(at, BigInt(part[1]));
    at += sizes[index] ?? 0;
  }
  return bytes;
}

/** What a server says of a file. Absent: it does not say. */
export interface Attributes {
  /** Bytes. */
  readonly size?: number;
  readonly owner?: { readonly user: number; readonly group: number };
  /** Type and permissions, as in `st_mode`. */
  readonly mode?: number;
  /** Seconds since 1970. */
  readonly times?: { readonly accessed: number; readonly modified: number };
}

/** Attributes as parts of a packet. */
export function attributeParts({ size, owner, mode }: Omit<Attributes, 'times'>): readonly Part[] {
  const flags =
    (size === undefined ? 0 : Attribute.size) |
    (owner ? Attribute.owner : 0) |
    (mode === undefined ? 0 : Attribute.permissions);
  return [
    [4, flags],
    ...(size === undefined ? [] : [[8, size] as const]),
    ...(owner ? ([[4, owner.user] as const, [4, owner.group] as const] as const) : []),
    ...(mode === undefined ? [] : [[4, mode] as const]),
  ];
}

/** The content of a packet, read from the front. What is cut short is an error. */
export class Content {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #advance(length: number): number {
    if (length > this.left) throw invalidReply('the server sent a packet that is cut short');
    const at = this.#at;
    this.#at += length;
    return at;
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** A number of 8 bytes; those beyond 2^53 are rounded. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#advance(8)));
  }

  bytes(): Uint8Array {
    const length = this.uint32();
    const at = this.#advance(length);
    return this.#bytes.slice(at, at + length);
  }

  text(): string {
    return textOf(this.bytes());
  }

  attributes(): Attributes {
    const flags = this.uint32();
    const size = flags & Attribute.size ? this.uint64() : undefined;
    const owner = flags & Attribute.owner ? { user: this.uint32(), group: this.uint32() } : undefined;
    const mode = flags & Attribute.permissions ? this.uint32() : undefined;
    const times = flags & Attribute.times ? { accessed: this.uint32(), modified: this.uint32() } : undefined;
    return {
      ...(size === undefined ? {} : { size }),
      ...(owner ? { owner } : {}),
      ...(mode === undefined ? {} : { mode }),
      ...(times ? { times } : {}),
    };
  }
}
