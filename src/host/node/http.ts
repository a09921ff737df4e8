/** The port of HTTP over sockets: connections are kept for the next request, and what is read goes where it is wanted. */
import { isIP, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Semaphore } from '../../base/async.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import { bytesOf } from '../../base/text.ts';
import type { HttpAnswer, HttpPort, HttpRequest, Login } from '../../block/http.ts';
import { type OnRead, SocketConnection } from './connection.ts';
import { connectionLost, type Peer, timedOut, unanswered } from './curlWords.ts';
import { Arriving, Body, type Head } from './httpMessage.ts';
import { type Proxy, proxyFor } from './proxy.ts';
import { trusted } from './trust.ts';

/** Connections to one server: as many as a copy has requests under way. */
const CONNECTIONS = 16;
/** An answer with no more than this left is read to its end, so that its connection can be used again. */
const DRAINED = 64 * KiB;
/** Pieces in which a body is handed out. */
const PIECE = 64 * KiB;

/** How a server is reached. */
interface Way {
  readonly server: Peer & { readonly secure: boolean };
  readonly proxy: Proxy | undefined;
  readonly proxyLogin: Login | undefined;
  readonly verify: boolean;
  readonly patience: number;
}

/** Connections of one way. */
interface Pool {
  readonly permits: Semaphore;
  readonly idle: Wire[];
}

/** Asks servers; connections are kept until {@link close}. */
export class NodeHttp implements HttpPort {
  readonly #pools = new Map<string, Pool>();

  async request(asked: HttpRequest): Promise<HttpAnswer> {
    const url = new URL(asked.url);
    const way = wayTo(url, asked);
    const pool = this.#poolOf(way);
    await pool.permits.acquire();
    try {
      return await this.#ask(asked, headOf(asked, url, way), way, pool);
    } catch (error) {
      pool.permits.release();
      throw error;
    }
  }

  async #ask(asked: HttpRequest, text: string, way: Way, pool: Pool): Promise<HttpAnswer> {
    for (;;) {
      const kept = pool.idle.pop();
      if (kept?.ended === true) continue;
      const wire = kept ?? (await Wire.open(way));
      try {
        const head = await wire.exchange(text, way);
        return wire.answer(head, asked.method, () => {
          if (wire.isIdle) pool.idle.push(wire);
          pool.permits.release();
        });
      } catch (error) {
        wire.close();
        // Servers end connections that were idle; nobody can see that before.
        const stale = kept !== undefined && error instanceof BlockError && error.code === 'ECONNRESET';
        if (!stale) throw error;
      }
    }
  }

  #poolOf(way: Way): Pool {
    const key = JSON.stringify([way.server, way.proxy, way.proxyLogin, way.verify]);
    const pool = this.#pools.get(key) ?? { permits: new Semaphore(CONNECTIONS), idle: [] };
    this.#pools.set(key, pool);
    return pool;
  }

  /** Hangs up on all servers that nobody waits for. */
  close(): void {
    for (const { idle } of this.#pools.values()) for (const wire of idle.splice(0)) wire.close();
    this.#pools.clear();
  }
}

function wayTo(url: URL, { verify = true, proxyLogin, patience }: HttpRequest): Way {
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const proxy = proxyFor(process.env, secure ? 'https' : 'http', host);
  return { server: { host, port, secure }, proxy, proxyLogin: proxyLogin ?? proxy?.login, verify, patience };
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(bytesOf(`${username}:${password}`)).toString('base64')}`;
}

function linesOf(first: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const text = [first, ...lines];
  if (text.some((line) => /[\0\r\n]/.test(line))) throw invalidArgument('A header cannot have more than one line');
  return `${text.join('\r\n')}\r\n\r\n`;
}

function headOf({ method, headers }: HttpRequest, url: URL, { server, proxy, proxyLogin }: Way): string {
  const path = `${url.pathname}${url.search}`;
  const whole = proxy !== undefined && !server.secure;
  return linesOf(`${method} ${whole ? `${url.origin}${path}` : path} HTTP/1.1`, {
    host: url.host,
    'user-agent': 'qimg',
    accept: '*/*',
    ...headers,
    ...(whole && proxyLogin ? { 'proxy-authorization': basic(proxyLogin) } : {}),
  });
}

/** A connection to a server. */
class Wire {
  readonly #connection: SocketConnection;
  readonly #arriving: Arriving;
  readonly #peer: Peer;
  #patience = 0;
  /** Bytes of the answer that is under way. */
  #received = 0;
  #reusable = false;

  private constructor(connection: SocketConnection, peer: Peer) {
    this.#connection = connection;
    this.#peer = peer;
    this.#arriving = new Arriving((into, least) => this.#read(into, least));
  }

  /** Connects, through the proxy if there is one. */
  static async open(way: Way): Promise<Wire> {
    const { server, proxy, proxyLogin, verify, patience } = way;
    if (!proxy) return new Wire(await connected(server, server.secure, verify, patience), server);
    const peer = { host: proxy.host, port: proxy.port, isProxy: true };
    const connection = await connected(peer, proxy.secure, true, patience);
    if (!server.secure) return new Wire(connection, peer);
    const target = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`;
    const login: Record<string, string> = proxyLogin ? { 'proxy-authorization': basic(proxyLogin) } : {};
    const wire = new Wire(connection, peer);
    try {
      const text = linesOf(`CONNECT ${target} HTTP/1.1`, { host: target, 'user-agent': 'qimg', ...login });
      const { status } = await wire.exchange(text, way);
      if (status > 299) throw new BlockError('io', `CONNECT tunnel failed, response ${status}`);
      const secured = await securely({ socket: connection.socket }, server, verify, patience);
      return new Wire(secured, server);
    } catch (error) {
      wire.close();
      const lost = error instanceof BlockError && error.code === 'ECONNRESET';
      throw lost ? new BlockError('io', 'Proxy CONNECT aborted', { cause: error }) : error;
    }
  }

  get ended(): boolean {
    return this.#connection.ended;
  }

  /** The next request can be sent. */
  get isIdle(): boolean {
    return this.#reusable && !this.#connection.ended;
  }

  /** Sends a request, and waits for the head of the answer. */
  async exchange(text: string, { patience }: Way): Promise<Head> {
    const since = Date.now();
    this.#connection.socket.ref();
    this.#patience = patience;
    this.#received = 0;
    this.#reusable = false;
    try {
      await this.#connection.write([Buffer.from(text, 'latin1')]);
      const head = await this.#arriving.head();
      if (head) return head;
    } catch (error) {
      throw this.#worded(error, since);
    }
    throw unanswered(Object.assign(new Error('no answer'), { code: 'ECONNRESET' }), this.#peer, since);
  }

  #worded(error: unknown, since: number): BlockError {
    if (!(error instanceof BlockError)) return unanswered(error as Error, this.#peer, since);
    if (error.code === 'ETIMEDOUT') return timedOut(this.#patience, this.#received);
    return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? connectionLost(error) : error;
  }

  async #read(into: Uint8Array, least: number): Promise<number> {
    // Silence counts only while somebody waits.
    this.#connection.patience(this.#patience);
    const count = await this.#connection.read(into, least);
    this.#connection.patience(0);
    this.#received += count;
    return count;
  }

  /** @param done is told once when the answer was read or given up. */
  answer(head: Head, method: string, done: () => void): HttpAnswer {
    const body = new Body(this.#arriving, head, method);
    const word = head.headers['connection'] ?? '';
    const keeps = head.modern ? !/\bclose\b/i.test(word) : /\bkeep-alive\b/i.test(word);
    let over = false;
    const finish = (): void => {
      if (over) return;
      over = true;
      this.#reusable = keeps && body.complete;
      if (this.#reusable) this.#connection.socket.unref();
      else this.close();
      done();
    };
    const take = async (into: Uint8Array, least: number): Promise<number> => {
      if (over) return 0;
      try {
        const count = await body.read(into, least, () => connectionLost(undefined));
        if (body.complete) finish();
        return count;
      } catch (error) {
        finish();
        throw this.#worded(error, Date.now());
      }
    };
    if (body.complete) finish();
    return {
      status: head.status,
      headers: head.headers,
      body: pieces(take),
      read: (into) => take(into, into.length),
      end: () => {
        // A rest that is short is on its way already.
        if (over || body.missing > DRAINED) finish();
        else take(new Uint8Array(DRAINED), DRAINED).then(finish, finish);
      },
    };
  }

  close(): void {
    this.#connection.socket.destroy();
  }
}

async function* pieces(take: (into: Uint8Array, least: number) => Promise<number>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const bytes = new Uint8Array(PIECE);
    const count = await take(bytes, 1);
    if (count === 0) return;
    yield bytes.subarray(0, count);
  }
}

function newSocket(onread: OnRead): Socket {
  return new Socket({ onread } as ConstructorParameters<typeof Socket>[0]);
}

async function connected(peer: Peer, secure: boolean, verify: boolean, patience: number): Promise<SocketConnection> {
  const { host, port } = peer;
  if (secure) return securely({ host, port }, peer, verify, patience);
  const connection = new SocketConnection(newSocket, never);
  const { socket } = connection;
  await settled(socket, 'connect', peer, patience, () => socket.connect({ host, port, noDelay: true }));
  return connection;
}

const never = (): Promise<never> => Promise.reject(new BlockError('internal', 'TLS is begun elsewhere'));

async function securely(
  over: ConnectionOptions,
  peer: Peer,
  verify: boolean,
  patience: number,
): Promise<SocketConnection> {
  const trust = verify ? { secureContext: trusted().context } : { rejectUnauthorized: false };
  const name = isIP(peer.host) === 0 ? { servername: peer.host } : {};
  let socket: TLSSocket | undefined;
  const connection = new SocketConnection(() => {
    socket = connectTls({ host: peer.host, ...over, ...name, ...trust, ALPNProtocols: ['http/1.1'] });
    return socket;
  }, never);
  await settled(connection.socket, 'secureConnect', peer, patience, () => undefined);
  return connection;
}

/** Waits for a connection. */
function settled(socket: Socket, event: string, peer: Peer, patience: number, begin: () => void): Promise<void> {
  const since = Date.now();
  return new Promise((resolve, reject) => {
    const timer = patience === 0 ? undefined : setTimeout(() => fail(timedOut(patience, 0)), patience);
    function fail(error: Error): void {
      clearTimeout(timer);
      socket.destroy();
      reject(unanswered(error, peer, since));
    }
    socket.once('error', fail);
    socket.once('close', () => fail(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve();
    });
    begin();
  });
}
