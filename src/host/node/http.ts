/** The port of HTTP over `node:http` and `node:https`: connections are kept for the next request. */
import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as requestHttp,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, type SecureContext } from 'node:tls';
import { BlockError } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import { bytesOf } from '../../base/text.ts';
import type { HttpAnswer, HttpPort, HttpRequest, Login } from '../../block/http.ts';
import { connectionLost, type Peer, timedOut, unanswered } from './curlWords.ts';
import { Incoming } from './incoming.ts';
import { type Proxy, proxyFor } from './proxy.ts';
import { trusted } from './trust.ts';

/** Connections to one server: as many as a copy has requests under way. */
const CONNECTIONS = 16;

/** An answer with no more than this left is read to its end, so that its connection can be used again. */
const DRAINED = 64 * KiB;

const KEPT = { keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: CONNECTIONS, scheduling: 'lifo' } as const;

/** How a server is reached: with a proxy in between or not. */
interface Way {
  readonly agent: HttpAgent;
  readonly proxy: Proxy | undefined;
}

/** Asks servers; what connects to one of a kind is kept until {@link close}. */
export class NodeHttp implements HttpPort {
  readonly #agents = new Map<string, HttpAgent>();

  async request(asked: HttpRequest): Promise<HttpAnswer> {
    const url = new URL(asked.url);
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
    const { agent, proxy } = this.#wayTo(url.protocol.slice(0, -1), host, port, asked);
    const path = `${url.pathname}${url.search}`;
    const direct = { host, port, path };
    const through = proxy && !secure ? { host: proxy.host, port: proxy.port, path: `${url.origin}${path}` } : direct;
    const login = proxy && !secure ? (asked.proxyLogin ?? proxy.login) : undefined;
    const options: RequestOptions = {
      method: asked.method,
      agent,
      ...through,
      headers: {
        host: url.host,
        'user-agent': 'qimg',
        accept: '*/*',
        ...asked.headers,
        ...(login ? { 'proxy-authorization': basic(login) } : {}),
      },
    };
    const peer = proxy && !secure ? { host: proxy.host, port: proxy.port, isProxy: true } : { host, port };
    const overTls = proxy && !secure ? proxy.secure : secure;
    const message = await answerTo(overTls ? requestHttps(options) : requestHttp(options), peer, asked.patience);
    return answerOf(message, asked.patience);
  }

  /** Hangs up on all servers. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #wayTo(scheme: string, host: string, port: number, { verify = true, proxyLogin, patience }: HttpRequest): Way {
    const proxy = proxyFor(process.env, scheme, host);
    const secure = scheme === 'https';
    const tunnel = secure && proxy ? { proxy, login: proxyLogin ?? proxy.login, host, port, patience } : undefined;
    const key = JSON.stringify([secure || proxy?.secure, verify, tunnel]);
    let agent = this.#agents.get(key);
    if (!agent) {
      agent = tunnel ? new TunnelAgent(tunnel, verify) : newAgent(secure || (proxy?.secure ?? false), verify);
      this.#agents.set(key, agent);
    }
    return { agent, proxy };
  }
}

function newAgent(secure: boolean, verify: boolean): HttpAgent {
  return secure ? new HttpsAgent({ ...KEPT, ...trust(verify) }) : new HttpAgent(KEPT);
}

function trust(verify: boolean): { readonly rejectUnauthorized: boolean; readonly secureContext?: SecureContext } {
  return verify ? { rejectUnauthorized: true, secureContext: trusted().context } : { rejectUnauthorized: false };
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(bytesOf(`${username}:${password}`)).toString('base64')}`;
}

/** The head of the answer. */
function answerTo(request: ClientRequest, peer: Peer, patience: number): Promise<IncomingMessage> {
  const since = Date.now();
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(unanswered(error, peer, since));
    };
    request.on('error', fail);
    // Requests that wait for a connection to be free do not wait for the server.
    request.once('socket', () => {
      if (patience > 0) timer = setTimeout(() => request.destroy(timedOut(patience, 0)), patience);
    });
    request.once('response', (message) => {
      clearTimeout(timer);
      resolve(message);
    });
    request.end();
  });
}

function answerOf(message: IncomingMessage, patience: number): HttpAnswer {
  const incoming = new Incoming(message, patience, {
    silent: (received) => timedOut(patience, received),
    broken: connectionLost,
  });
  const length = Number(message.headers['content-length'] ?? Number.NaN);
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let bytes = await incoming.next(); bytes; bytes = await incoming.next()) yield bytes;
  }
  return {
    status: message.statusCode ?? 0,
    headers: joined(message.headers),
    body: body(),
    end() {
      if (message.complete || length - incoming.received <= DRAINED) message.resume();
      else message.destroy();
    },
  };
}

function joined(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value = '']) => [name, typeof value === 'string' ? value : value.join(', ')]),
  );
}

/** A way to one server through a proxy that hands everything on. */
interface Tunnel {
  readonly proxy: Proxy;
  readonly login: Login | undefined;
  readonly host: string;
  readonly port: number;
  readonly patience: number;
}

type Connected = (error: Error | null, socket?: Duplex) => void;

/** Connects through a proxy with `CONNECT` (RFC 9110, section 9.3.6), and encrypts what goes through. */
class TunnelAgent extends HttpsAgent {
  readonly #tunnel: Tunnel;

  constructor(tunnel: Tunnel, verify: boolean) {
    super({ ...KEPT, ...trust(verify) });
    this.#tunnel = tunnel;
  }

  override createConnection(options: object, connected: Connected): undefined {
    this.#connect(options).then(
      (socket) => connected(null, socket),
      (error: Error) => connected(error),
    );
    return undefined;
  }

  async #connect(options: object): Promise<Duplex> {
    const { proxy, login, host, port, patience } = this.#tunnel;
    const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const since = Date.now();
    const request = (proxy.secure ? requestHttps : requestHttp)({
      host: proxy.host,
      port: proxy.port,
      method: 'CONNECT',
      path: target,
      agent: proxy.secure ? newAgent(true, true) : false,
      headers: { host: target, 'user-agent': 'qimg', ...(login ? { 'proxy-authorization': basic(login) } : {}) },
    });
    const socket = await new Promise<Duplex>((resolve, reject) => {
      if (patience > 0) request.setTimeout(patience, () => request.destroy(timedOut(patience, 0)));
      request.once('error', (error) => {
        const failure = unanswered(error, { host: proxy.host, port: proxy.port, isProxy: true }, since);
        reject(
          failure.code === 'ECONNRESET' ? new BlockError('io', 'Proxy CONNECT aborted', { cause: error }) : failure,
        );
      });
      request.once('connect', ({ statusCode = 0 }, raw) => {
        if (statusCode >= 200 && statusCode < 300) resolve(raw);
        else reject(new BlockError('io', `CONNECT tunnel failed, response ${statusCode}`));
      });
      request.end();
    });
    // Where Node knows the name of the server it is among the options already.
    return new Promise((resolve, reject) => {
      const secured = connectTls({ ...options, socket } as ConnectionOptions, () => resolve(secured));
      secured.once('error', reject);
    });
  }
}
