/** Connections over the sockets of Node. */
import type { Socket } from 'node:net';
import type { MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import type { Connection, TlsSettings } from '../../block/net.ts';
import { Demand } from './demand.ts';
import { nodeError } from './fileErrors.ts';

/** Where bytes go that nobody waits for yet: enough for many small answers, little to copy of a long one. */
const SPARE = 16384;

/**
 * A connection over a socket. What somebody waits for goes from the kernel into that very buffer, if it is long; nothing is
 * read ahead but what fits into the spare one.
 */
export class SocketConnection implements Connection {
  readonly socket: Socket;
  readonly #secure: Secure;
  readonly #spare = new Uint8Array(SPARE);
  /** What has come and was not taken yet. */
  #left: Uint8Array = new Uint8Array();
  readonly #demand = new Demand();

  /**
   * @param make makes the socket, which reads as it is told by what it gets, or else says what has come.
   * @param secure encrypts it.
   */
  constructor(make: (onread: OnRead) => Socket, secure: Secure) {
    this.#secure = secure;
    this.socket = make({ buffer: () => this.#room(), callback: (count, buffer) => this.#arrived(count, buffer) });
    // Sockets with TLS read into buffers of their own.
    this.socket.on('data', (bytes: Uint8Array) => {
      if (!this.#take(bytes)) this.socket.pause();
    });
    this.socket.on('error', (error) => this.#demand.fail(asBlockError(nodeError(error, undefined, {}))));
    this.socket.on('end', () => this.#demand.finish());
    this.socket.on('close', () => this.#demand.finish());
    this.socket.on('timeout', () => {
      this.#demand.fail(systemError('ETIMEDOUT', undefined, {}));
      this.socket.destroy();
    });
  }

  read(into: Uint8Array): MaybePromise<number> {
    const demand = this.#demand;
    demand.checkFree();
    const kept = Math.min(this.#left.length, into.length);
    into.set(this.#left.subarray(0, kept));
    this.#left = this.#left.subarray(kept);
    if (kept === into.length || (demand.ended && !demand.failure)) return kept;
    if (demand.failure) throw demand.failure;
    const waiting = demand.wait(into, kept);
    this.socket.resume();
    return waiting;
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    const { socket } = this;
    const { failure } = this.#demand;
    if (failure) throw failure;
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => {
        if (!error) resolve();
        else reject(this.#demand.failure ?? asBlockError(nodeError(error, undefined, {})));
      };
      socket.cork();
      for (const [index, piece] of pieces.entries())
        socket.write(piece, index === pieces.length - 1 ? done : undefined);
      socket.uncork();
    });
  }

  patience(milliseconds: number): void {
    this.socket.setTimeout(milliseconds);
  }

  async secure(tls: TlsSettings): Promise<Connection> {
    if (this.#left.length > 0) throw new BlockError('io', 'The other side sent bytes in front of the TLS handshake');
    this.socket.setTimeout(0);
    return this.#secure(this.socket, tls);
  }

  close(): void {
    this.#demand.refuse(systemError('ESHUTDOWN', undefined, {}));
    if (this.socket.destroyed) return;
    this.socket.end(() => this.socket.destroy());
    // Whoever does not take what is left keeps nobody waiting.
    this.socket.setTimeout(1000, () => this.socket.destroy());
    this.socket.unref();
  }

  /** Where the next bytes go. */
  #room(): Uint8Array {
    const { room } = this.#demand;
    return !room || room.length < SPARE ? this.#spare : room;
  }

  /** Takes what has come into the buffer that was given last; false: no more for now. */
  #arrived(count: number, buffer: Uint8Array): boolean {
    if (buffer === this.#spare) return this.#take(this.#spare.subarray(0, count));
    this.#demand.advance(count);
    return true;
  }

  /** Takes what has come somewhere else; false: no more for now. */
  #take(bytes: Uint8Array): boolean {
    this.#left = bytes.subarray(this.#demand.put(bytes));
    return this.#left.length === 0;
  }
}

/** Encrypts a connection that somebody has over a socket. */
export type Secure = (socket: Socket, tls: TlsSettings) => Promise<Connection>;

/** As `onread` of Node's sockets. */
export interface OnRead {
  buffer(): Uint8Array;
  callback(count: number, buffer: Uint8Array): boolean;
}
