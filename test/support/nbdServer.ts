/**
 * An NBD server in memory, for a client that gets its connections from here: it does what a script says, also what no
 * sound server does.
 */
import type { Connection, NetPort } from '../../src/block/net.ts';
import { BlockError } from '../../src/base/error.ts';

const REPLY_MAGIC = 0x3e889045565a9n;

/** Bytes, or a number with its size in bytes. */
export type Part = readonly [size: 1 | 2 | 4 | 8, value: number | bigint] | Uint8Array;

function bytesOf(part: Part): Uint8Array {
  if (part instanceof Uint8Array) return part;
  const [size, value] = part;
  return Uint8Array.from({ length: size }, (_, at) => Number((BigInt(value) >> BigInt((size - 1 - at) * 8)) & 0xffn));
}

/** Bytes and numbers, one behind the other. */
export function packed(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const all = parts.map(bytesOf);
  const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A request as the server got it. */
export interface Got {
  readonly flags: number;
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
  readonly data: Uint8Array;
}

/** One connection, from the side of the server. */
export class Peer {
  readonly #toClient: Uint8Array[] = [];
  #toServer = new Uint8Array();
  #wakeClient: (() => void) | undefined;
  #wakeServer: (() => void) | undefined;
  #ended = false;
  /** The client has hung up. */
  closed = false;
  /** Milliseconds of patience that the client had last. */
  patience = 0;
  form: 'simple' | 'structured' | 'extended' = 'simple';
  /** Bytes that were sent, and after how many the connection ends. */
  sent: number = 0;
  cut: number = Number.POSITIVE_INFINITY;

  /** What the client sees. */
  readonly connection: Connection = {
    read: async (into) => {
      let filled = 0;
      while (filled < into.length) {
        const next = this.#toClient[0];
        if (next) {
          const taken = Math.min(next.length, into.length - filled);
          into.set(next.subarray(0, taken), filled);
          filled += taken;
          if (taken === next.length) this.#toClient.shift();
          else this.#toClient[0] = next.subarray(taken);
        } else if (this.#ended || this.closed) break;
        else await new Promise<void>((resolve) => (this.#wakeClient = resolve));
      }
      return filled;
    },
    write: async (pieces) => {
      if (this.#ended || this.closed) throw new BlockError('io', 'gone');
      const all = packed(this.#toServer, ...pieces);
      this.#toServer = new Uint8Array(all);
      this.#wakeServer?.();
    },
    patience: (milliseconds) => {
      this.patience = milliseconds;
    },
    secure: () => Promise.reject(new BlockError('unsupported', 'no TLS here')),
    close: () => {
      this.closed = true;
      this.#wakeClient?.();
      this.#wakeServer?.();
    },
  };

  /** So many bytes from the client; undefined when it has hung up. */
  async receive(length: number): Promise<Uint8Array | undefined> {
    while (this.#toServer.length < length) {
      if (this.closed) return undefined;
      await new Promise<void>((resolve) => (this.#wakeServer = resolve));
    }
    const bytes = this.#toServer.slice(0, length);
    this.#toServer = this.#toServer.slice(length);
    return bytes;
  }

  send(...parts: readonly Part[]): void {
    if (this.#ended) return;
    const bytes = packed(...parts);
    this.#toClient.push(bytes.subarray(0, this.cut - this.sent));
    this.sent += bytes.length;
    this.#wakeClient?.();
    if (this.sent >= this.cut) this.end();
  }

  /** Ends the connection: what was sent still arrives. */
  end(): void {
    this.#ended = true;
    this.#wakeClient?.();
  }

  optionReply(option: number, type: number, data: Uint8Array = new Uint8Array()): void {
    this.send([8, REPLY_MAGIC], [4, option], [4, type], [4, data.length], data);
  }

  simple(cookie: bigint, error: number, data: Uint8Array = new Uint8Array()): void {
    this.send([4, 0x67446698], [4, error], [8, cookie], data);
  }

  /** A chunk of a structured or extended reply. @param length what the header says, if not the truth. */
  chunk(cookie: bigint, type: number, data: Uint8Array, done = true, length: number = data.length): void {
    const flags = done ? 1 : 0;
    if (this.form === 'extended')
      this.send([4, 0x6e8a278c], [2, flags], [2, type], [8, cookie], [8, 0], [8, length], data);
    else this.send([4, 0x668e33ef], [2, flags], [2, type], [8, cookie], [4, length], data);
  }
}

/** What a server does otherwise than a sound one. */
export interface Script {
  readonly size?: number;
  /** Transmission flags. */
  readonly flags?: number;
  readonly form?: Peer['form'];
  /** Bytes that are sent before the connection ends. */
  readonly cut?: number;
  readonly blockSizes?: readonly [minimum: number, preferred: number, maximum: number];
  /** The whole server, in the place of all that follows. */
  readonly all?: (peer: Peer) => void;
  /** Answers an option; true if it did. */
  readonly option?: (peer: Peer, option: number, data: Uint8Array) => boolean;
  /** Answers a request; true if it did. */
  readonly request?: (peer: Peer, got: Got) => boolean;
}

const FLAGS = 0x1 | 0x4 | 0x8 | 0x20 | 0x40;

/** A server whose exports all have the same bytes, and everything that came. */
export class NbdServer implements NetPort {
  readonly bytes: Uint8Array;
  readonly peers: Peer[] = [];
  readonly requests: Got[] = [];
  readonly options: number[] = [];
  readonly #script: Script;

  constructor(script: Script = {}) {
    this.#script = script;
    this.bytes = new Uint8Array(script.size ?? 65536);
  }

  async connect(): Promise<Connection> {
    const peer = new Peer();
    peer.cut = this.#script.cut ?? peer.cut;
    this.peers.push(peer);
    void this.#serve(peer);
    return peer.connection;
  }

  async #serve(peer: Peer): Promise<void> {
    if (this.#script.all) return this.#script.all(peer);
    const { flags = FLAGS, blockSizes } = this.#script;
    peer.send(new TextEncoder().encode('NBDMAGICIHAVEOPT'), [2, 3]);
    await peer.receive(4);
    for (;;) {
      const header = await peer.receive(16);
      if (!header) return;
      const view = new DataView(header.buffer);
      const option = view.getUint32(8);
      const data = (await peer.receive(view.getUint32(12))) ?? new Uint8Array();
      this.options.push(option);
      if (this.#script.option?.(peer, option, data) === true) continue;
      if (this.#agrees(peer, option)) peer.optionReply(option, 1);
      else if (option === 10) {
        peer.optionReply(10, 4, packed([4, 7], data.subarray(12 + (new DataView(data.buffer).getUint32(0) || 0))));
        peer.optionReply(10, 1);
      } else if (option === 7) {
        if (blockSizes) peer.optionReply(7, 3, packed([2, 3], ...blockSizes.map((size) => [4, size] as const)));
        peer.optionReply(7, 3, packed([2, 0], [8, this.bytes.length], [2, flags]));
        peer.optionReply(7, 1);
        return this.#transmit(peer);
      } else peer.optionReply(option, 0x80000001);
    }
  }

  #agrees(peer: Peer, option: number): boolean {
    const { form = 'structured' } = this.#script;
    if ((option === 11 && form === 'extended') || (option === 8 && form === 'structured')) {
      peer.form = form;
      return true;
    }
    return false;
  }

  async #transmit(peer: Peer): Promise<void> {
    for (;;) {
      const header = await peer.receive(peer.form === 'extended' ? 32 : 28);
      if (!header) return;
      const view = new DataView(header.buffer);
      const length = peer.form === 'extended' ? Number(view.getBigUint64(24)) : view.getUint32(24);
      const command = view.getUint16(6);
      const data = command === 1 ? ((await peer.receive(length)) ?? new Uint8Array()) : new Uint8Array();
      const got = {
        flags: view.getUint16(4),
        command,
        cookie: view.getBigUint64(8),
        offset: Number(view.getBigUint64(16)),
        length,
        data,
      };
      this.requests.push(got);
      if (this.#script.request?.(peer, got) !== true) this.answer(peer, got);
    }
  }

  /** Does what a sound server does. */
  answer(peer: Peer, { command, cookie, offset, length, data }: Got): void {
    if (command === 2) return peer.end();
    if (command === 1) this.bytes.set(data, offset);
    if (command === 6) this.bytes.fill(0, offset, offset + length);
    if (command === 7) return peer.chunk(cookie, 5, packed([4, 7], [4, length], [4, 0]));
    const bytes = command === 0 ? this.bytes.slice(offset, offset + length) : new Uint8Array();
    if (peer.form === 'simple') return peer.simple(cookie, 0, bytes);
    return command === 0 ? peer.chunk(cookie, 1, packed([8, offset], bytes)) : peer.chunk(cookie, 0, bytes);
  }
}
