/** The port of connections: addresses to sockets. */
import { isIP, Socket } from 'node:net';
import { isPromise } from '../../base/async.ts';
import { asBlockError, invalidArgument } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import { bytesOf, isEscaped } from '../../base/text.ts';
import { addressText, type Connection, type SocketAddress } from '../../block/net.ts';
import { type OnRead, type Secure, SocketConnection } from './connection.ts';
import { libc } from './ffi.ts';
import { nodeError } from './fileErrors.ts';

/** Longest name of a Unix socket, as Linux has it. */
const MAX_PATH = 108;

const secure: Secure = async (socket, tls) => (await import('./tls.ts')).secureConnection(socket, tls);

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

function newSocket(onread: OnRead): Socket {
  return new Socket({ onread } as ConstructorParameters<typeof Socket>[0]);
}

async function connectTo(address: SocketAddress, target: Target): Promise<Connection> {
  const message = `Failed to connect to '${addressText(address)}'`;
  if ('path' in target && target.path === '') throw systemError('ECONNREFUSED', message, {});
  const connection = new SocketConnection(newSocket, secure);
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
export function widen(socket: Socket): void {
  // Node does not tell the number of a socket in another way.
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } };
  const fd = handle?.fd;
  if (fd !== undefined && fd >= 0) libc()?.socketOption(fd, SEND_BUFFER, SENT);
}

/** The name of a Unix socket, as Node takes it. */
export function pathOf(address: SocketAddress & { readonly type: 'unix' }): string {
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
  const make = (onread: OnRead): Socket => {
    const how = { fd: number, readable: true, writable: true, onread };
    return new Socket(how);
  };
  return new SocketConnection(make, secure);
}
