/** Connections over the sockets of Node. */
import { Socket, isIP } from 'node:net';
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError, invalidArgument } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import { bytesOf, isEscaped } from '../../base/text.ts';
import { addressText, type Connection, type SocketAddress, type TlsSettings } from '../../block/net.ts';
import { libc } from './ffi.ts';
import { nodeError } from './fileErrors.ts';

/** Where bytes go that nobody waits for yet: enough for many small answers, little to copy of a long one. */
const SPARE = 16384;

/** Longest name of a Unix socket, as Linux has it. */
const MAX_PATH = 108;

/** Somebody who waits for bytes. */
interface Reader {
  readonly into: Uint8Array;
  filled: number;
  resolve(count: number): void;
  reject(error: BlockError): void;
}

/**
 * A connection over a socket. What somebody waits for goes from the kernel into that very buffer, if it is long; nothing is
 * read ahead but what fits into the spare one.
 */
export class SocketConnection implements Connection {
  readonly socket: Socket;
  readonly #spare = new Uint8Array(SPARE);
  /** What of the spare buffer was not taken yet. */
  #start = 0;
  #end = 0;
  #reader: Reader | undefined;
  #ended = false;
  #failure: BlockError | undefined;

  /** @param make makes the socket, which reads as it is told by what it gets. */
  constructor(make: (onread: OnRead) => Socket) {
    this.socket = make({ buffer: () => this.#room(), callback: (count, buffer) => this.#arrived(count, buffer) });
    this.socket.on('error', (error) => this.#fail(asBlockError(nodeError(error, undefined, {}))));
    this.socket.on('end', () => this.#finish());
    this.socket.on('close', () => this.#finish());
    this.socket.on('timeout', () => {
      this.#fail(systemError('ETIMEDOUT', undefined, {}));
      this.socket.destroy();
    });
  }

  read(into: Uint8Array): MaybePromise<number> {
    if (this.#reader) throw new BlockError('internal', 'two reads at the same time');
    const kept = Math.min(this.#end - this.#start, into.length);
    into.set(this.#spare.subarray(this.#start, this.#start + kept));
    this.#start += kept;
    if (kept === into.length || (this.#ended && !this.#failure)) return kept;
    if (this.#failure) throw this.#failure;
    const waiting = new Promise<number>((resolve, reject) => {
      this.#reader = { into, filled: kept, resolve, reject };
    });
    this.socket.resume();
    return waiting;
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    const { socket } = this;
    if (this.#failure) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => {
        if (!error) resolve();
        else reject(this.#failure ?? asBlockError(nodeError(error, undefined, {})));
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
    if (this.#end > this.#start) throw new BlockError('io', 'The server sent bytes in front of the TLS handshake');
    this.socket.setTimeout(0);
    const { secureConnection } = await import('./tls.ts');
    return secureConnection(this.socket, tls);
  }

  close(): void {
    this.#failure ??= systemError('ESHUTDOWN', undefined, {});
    if (this.socket.destroyed) return;
    this.socket.end(() => this.socket.destroy());
    // Whoever does not take what is left keeps nobody waiting.
    this.socket.setTimeout(1000, () => this.socket.destroy());
    this.socket.unref();
  }

  /** Where the next bytes go. */
  #room(): Uint8Array {
    const reader = this.#reader;
    if (!reader || reader.into.length - reader.filled < SPARE) return this.#spare;
    return reader.into.subarray(reader.filled);
  }

  /** Takes what has come into the buffer that was given last; false: no more for now. */
  #arrived(count: number, buffer: Uint8Array): boolean {
    const reader = this.#reader;
    if (buffer === this.#spare) {
      const taken = reader ? Math.min(count, reader.into.length - reader.filled) : 0;
      reader?.into.set(this.#spare.subarray(0, taken), reader.filled);
      if (reader) reader.filled += taken;
      this.#start = taken;
      this.#end = count;
    } else if (reader) reader.filled += count;
    if (reader && reader.filled === reader.into.length) {
      this.#reader = undefined;
      reader.resolve(reader.filled);
    }
    return this.#start === this.#end;
  }

  #finish(): void {
    this.#ended = true;
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#failure) reader?.reject(this.#failure);
    else reader?.resolve(reader.filled);
  }

  #fail(error: BlockError): void {
    this.#failure ??= error;
    this.#finish();
  }
}

/** As `onread` of Node's sockets. */
export interface OnRead {
  buffer(): Uint8Array;
  callback(count: number, buffer: Uint8Array): boolean;
}

/** {@link NetPort.connect}. */
export async function connect(address: SocketAddress): Promise<Connection> {
  if (address.type === 'fd') return adopt(address.number);
  if (address.type === 'unix') return connectTo(address, { path: pathOf(address) });
  const { hostsOf, portOf } = await import('./resolve.ts');
  const port = await portOf(address);
  const hosts = isIP(address.host) ? [address.host] : await hostsOf(address);
  let failure: unknown;
  for (const host of hosts) {
    try {
      const connection = connectTo(address, { host, port });
      return isPromise(connection) ? await connection : connection;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** What Node is told of where to connect. */
type Target = { readonly path: string } | { readonly host: string; readonly port: number };

async function connectTo(address: SocketAddress, target: Target): Promise<Connection> {
  const message = `Failed to connect to '${addressText(address)}'`;
  if ('path' in target && target.path === '') throw systemError('ECONNREFUSED', message, {});
  const connection = new SocketConnection(
    (onread) => new Socket({ onread } as ConstructorParameters<typeof Socket>[0]),
  );
  const { socket } = connection;
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => reject(asBlockError(nodeError(error, message, {}))));
    socket.connect({ ...target, noDelay: true, keepAlive: true }, resolve);
  });
  widen(socket);
  return connection;
}

/** `SO_SNDBUF` */
const SEND_BUFFER = 7;
/** Bytes that are on their way to the other side: a whole piece of a copy, so that it is not sent in parts. */
const SENT = 2 * MiB;

/** Makes room for what is sent, as far as the system lets it. */
function widen(socket: Socket): void {
  const { fd } = (socket as { readonly _handle?: { readonly fd?: number } })._handle ?? {};
  if (fd !== undefined && fd >= 0) libc()?.socketOption(fd, SEND_BUFFER, SENT);
}

function pathOf(address: SocketAddress & { readonly type: 'unix' }): string {
  const { path, abstract } = address;
  if (bytesOf(path).length >= MAX_PATH) {
    throw invalidArgument(`UNIX socket path '${path}' is too long`, {
      hint: `Path must be less than ${MAX_PATH} bytes`,
    });
  }
  // Node takes it for text, and would look for another name.
  if (isEscaped(path)) throw invalidArgument(`UNIX socket path '${path}' is not valid UTF-8`);
  return abstract === true ? `\0${path}` : path;
}

async function adopt(number: number): Promise<Connection> {
  const { fstatSync } = await import('node:fs');
  let isSocket = false;
  try {
    isSocket = fstatSync(number).isSocket();
  } catch {
    // There is none of that number.
  }
  if (!isSocket) throw invalidArgument(`File descriptor '${number}' is not a socket`);
  return new SocketConnection((onread) => {
    const how = { fd: number, readable: true, writable: true, onread };
    return new Socket(how as ConstructorParameters<typeof Socket>[0]);
  });
}
