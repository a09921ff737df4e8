/** The port of connections, from the side of those who listen. */
import { lstatSync, unlinkSync } from 'node:fs';
import { createConnection, type ListenOptions, Server, Socket } from 'node:net';
import { asBlockError } from '../../base/error.ts';
import { addressText, type Connection, type Listener, type SocketAddress } from '../../block/net.ts';
import { type OnRead, type Secure, SocketConnection } from './connection.ts';
import { nodeError } from './fileErrors.ts';
import { pathOf, widen } from './net.ts';

/** Connections that wait to be taken; further ones are hung up on. */
const QUEUE = 512;

const secure: Secure = async (socket, tls) => (await import('./tlsServer.ts')).secureClient(socket, tls);

/** {@link NetPort.listen}. */
export async function listen(address: SocketAddress): Promise<Listener> {
  if (address.type === 'fd') return started({ fd: address.number } as ListenOptions, address);
  if (address.type === 'unix') return listenAt(pathOf(address), address);
  const { portOf } = await import('./resolve.ts');
  const port = await portOf(address);
  const options = { host: address.host, port, ...(address.families === 'ipv6' ? { ipv6Only: true } : {}) };
  return started(options, address);
}

/** At a Unix socket, in the place of one that nobody listens at any more. */
async function listenAt(path: string, address: SocketAddress & { readonly type: 'unix' }): Promise<Listener> {
  const begin = (): Promise<Listener> => forOwner(() => started({ path }, address));
  try {
    return await begin();
  } catch (error) {
    if (address.abstract || !(await isLeftOver(path))) throw error;
    unlinkSync(path);
    return begin();
  }
}

/** Runs `body`, which makes a file before it returns, so that only its owner may use it. */
function forOwner<T>(body: () => T): T {
  const before = process.umask(0o177);
  try {
    return body();
  } finally {
    process.umask(before);
  }
}

/** True for a socket whose server is gone. */
async function isLeftOver(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

function started(options: ListenOptions, address: SocketAddress): Promise<Listener> {
  const server = new Server({ pauseOnConnect: true, noDelay: true, keepAlive: true });
  const listener = new SocketListener(server, address);
  return new Promise((resolve, reject) => {
    const message = `Failed to bind socket to ${addressText(address)}`;
    const failed = (error: Error): void => reject(asBlockError(nodeError(error, message, {})));
    server.once('error', failed);
    server.listen({ ...options, backlog: QUEUE }, () => {
      server.off('error', failed);
      // Such as too many open files: those who are there are not to suffer from it.
      server.on('error', () => undefined);
      resolve(listener);
    });
  });
}

/** A listening socket of Node. */
class SocketListener implements Listener {
  readonly #server: Server;
  readonly #asked: SocketAddress;
  readonly #waiting: SocketConnection[] = [];
  #taker: ((connection: Connection | undefined) => void) | undefined;
  #closed = false;

  constructor(server: Server, asked: SocketAddress) {
    this.#server = server;
    this.#asked = asked;
    server.on('connection', (socket) => this.#arrived(socket));
  }

  get address(): SocketAddress {
    const bound = this.#server.address();
    if (this.#asked.type !== 'inet' || typeof bound !== 'object' || bound === null) return this.#asked;
    return { ...this.#asked, port: String(bound.port) };
  }

  #arrived(socket: Socket): void {
    if (this.#closed || this.#waiting.length >= QUEUE) {
      socket.destroy();
      return;
    }
    const connection = new SocketConnection((onread) => withBuffers(socket, onread), secure);
    widen(connection.socket);
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker) taker(connection);
    else this.#waiting.push(connection);
  }

  async accept(): Promise<Connection | undefined> {
    const next = this.#waiting.shift();
    if (next || this.#closed) return next;
    return new Promise((resolve) => {
      this.#taker = resolve;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Not until the last client has gone, which is when Node calls back.
    this.#server.close();
    for (const connection of this.#waiting.splice(0)) connection.close();
    this.#taker?.(undefined);
  }
}

/** What Node knows of an open socket, and does not tell in another way. */
interface Handle {
  onread?: unknown;
  useUserBuffer?: unknown;
}

/**
 * A socket that reads into given buffers, which sockets that were let in do not do by themselves: their handle is taken to
 * another one. Where that is not possible they say what has come.
 */
function withBuffers(socket: Socket, onread: OnRead): Socket {
  const handle = Reflect.get(socket, '_handle') as Handle | null | undefined;
  if (typeof handle?.useUserBuffer !== 'function') return socket;
  handle.onread = () => undefined;
  Reflect.set(socket, '_handle', null);
  socket.setTimeout(0);
  return new Socket({ handle, onread, readable: true, writable: true } as ConstructorParameters<typeof Socket>[0]);
}
