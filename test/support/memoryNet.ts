/** Connections in memory: who listens and who connects are in the same program, and nothing is lost on the way. */
import { BlockError } from '../../src/base/error.ts';
import { systemError } from '../../src/base/posix.ts';
import { addressText, type Connection, type Listener, type NetPort, type SocketAddress } from '../../src/block/net.ts';

/** One direction of a connection. Who writes waits until it is taken, but for what fits into the pipe. */
class Pipe {
  /** Bytes that are on their way. */
  held = 0;
  ended = false;
  readonly #room: number;
  readonly #pieces: Uint8Array[] = [];
  #wakeReader: (() => void) | undefined;
  readonly #wakeWriters: (() => void)[] = [];

  constructor(room: number) {
    this.#room = room;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.ended) throw systemError('EPIPE', undefined, {});
    this.#pieces.push(bytes.slice());
    this.held += bytes.length;
    this.#wakeReader?.();
    while (this.held > this.#room && !this.ended) await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
  }

  async read(into: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const next = this.#pieces[0];
      if (next) {
        const taken = Math.min(next.length, into.length - filled);
        into.set(next.subarray(0, taken), filled);
        filled += taken;
        this.held -= taken;
        if (taken === next.length) this.#pieces.shift();
        else this.#pieces[0] = next.subarray(taken);
        for (const wake of this.#wakeWriters.splice(0)) wake();
      } else if (this.ended) break;
      else await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
    return filled;
  }

  end(): void {
    this.ended = true;
    this.#wakeReader?.();
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }
}

/** One end of a connection. */
export class MemoryConnection implements Connection {
  readonly incoming: Pipe;
  readonly outgoing: Pipe;

  constructor(incoming: Pipe, outgoing: Pipe) {
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  read(into: Uint8Array): Promise<number> {
    return this.incoming.read(into);
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    await Promise.all(pieces.map((piece) => this.outgoing.write(piece)));
  }

  patience(): void {
    // Nobody is late here.
  }

  secure(): Promise<Connection> {
    return Promise.reject(new BlockError('unsupported', 'no TLS here'));
  }

  close(): void {
    this.incoming.end();
    this.outgoing.end();
  }
}

class MemoryListener implements Listener {
  readonly address: SocketAddress;
  readonly #waiting: Connection[] = [];
  #taker: ((connection: Connection | undefined) => void) | undefined;
  closed = false;

  constructor(address: SocketAddress) {
    this.address = address;
  }

  arrive(connection: Connection): void {
    if (this.#taker) this.#taker(connection);
    else this.#waiting.push(connection);
    this.#taker = undefined;
  }

  async accept(): Promise<Connection | undefined> {
    const next = this.#waiting.shift();
    if (next || this.closed) return next;
    return new Promise((resolve) => (this.#taker = resolve));
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const connection of this.#waiting.splice(0)) connection.close();
    this.#taker?.(undefined);
  }
}

/** A network without wires. */
export class MemoryNet implements NetPort {
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #room: number;

  /** @param room bytes that can be on their way in each direction before whoever writes has to wait. */
  constructor(room = 65536) {
    this.#room = room;
  }

  async connect(address: SocketAddress): Promise<MemoryConnection> {
    const listener = this.#listeners.get(addressText(address));
    if (!listener || listener.closed) throw systemError('ECONNREFUSED', 'Failed to connect', {});
    const [there, back] = [new Pipe(this.#room), new Pipe(this.#room)];
    listener.arrive(new MemoryConnection(there, back));
    return new MemoryConnection(back, there);
  }

  async listen(address: SocketAddress): Promise<Listener> {
    const listener = new MemoryListener(address);
    this.#listeners.set(addressText(address), listener);
    return listener;
  }
}
