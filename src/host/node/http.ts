/** The port of HTTP over `node:http` and `node:https`: connections are kept for the next request. */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { invalidArgument } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import { bytesOf } from '../../base/text.ts';
import type { HttpAnswer, HttpPort, HttpRequest, Login } from '../../block/http.ts';
import { brokenAnswer, type Peer, timedOut, unanswered } from './curlWords.ts';
import { Incoming } from './incoming.ts';
import { proxyFor } from './proxy.ts';
import { trusted } from './trust.ts';
import { connectThrough, type Tunnel } from './tunnel.ts';

/** Connections to one server: as many as a copy has requests under way. */
const CONNECTIONS = 16;
/** An answer with no more than this left is read to its end, so that its connection can be used again. */
const DRAINED = 64 * KiB;
/** Longest head, as curl has it. */
const MAX_HEAD = 300 * KiB;

const KEPT = { keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: CONNECTIONS, scheduling: 'lifo' } as const;

/** How a server is reached. */
interface Way {
  readonly agent: HttpAgent;
  /** Whom one talks to: the server, or a proxy that asks it. */
  readonly peer: Peer;
  readonly secure: boolean;
  /** What goes into the request because of it. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Asks servers; what connects to one of a kind is kept until {@link close}. */
export class NodeHttp implements HttpPort {
  readonly #agents = new Map<string, HttpAgent>();

  async request(asked: HttpRequest): Promise<HttpAnswer> {
    const url = new URL(asked.url);
    const { agent, peer, secure, path, headers } = this.#wayTo(url, asked);
    const options: RequestOptions = {
      method: asked.method,
      agent,
      host: peer.host,
      port: peer.port,
      path,
      headers: sendable({ host: url.host, 'user-agent': 'qimg', accept: '*/*', ...asked.headers, ...headers }),
      maxHeaderSize: MAX_HEAD,
      // Else it would be that of the header `Host`, which a proxy does not have.
      ...(secure ? { servername: isIP(peer.host) === 0 ? peer.host : '' } : {}),
    };
    for (;;) {
      const exchange = new Exchange(secure ? requestHttps(options) : requestHttp(options), peer, asked.patience);
      const answer = await exchange.answer();
      if (answer) return answer;
    }
  }

  /** Hangs up on all servers. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #wayTo(url: URL, { verify = true, proxyLogin, patience }: HttpRequest): Way {
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const server = { host, port: url.port === '' ? (secure ? 443 : 80) : Number(url.port) };
    const proxy = proxyFor(process.env, secure ? 'https' : 'http', host);
    const login = proxyLogin ?? proxy?.login;
    const authorization: Record<string, string> = login ? { 'proxy-authorization': basic(login) } : {};
    const path = `${url.pathname}${url.search}`;
    if (!proxy) return { agent: this.#agent(secure, verify), peer: server, secure, path, headers: {} };
    if (secure) {
      const tunnel = { proxy, headers: authorization, patience, ...server };
      return { agent: this.#agent(secure, verify, tunnel), peer: server, secure, path, headers: {} };
    }
    return {
      agent: this.#agent(proxy.secure, true),
      peer: { host: proxy.host, port: proxy.port, isProxy: true },
      secure: proxy.secure,
      path: `${url.origin}${path}`,
      headers: authorization,
    };
  }

  #agent(secure: boolean, verify: boolean, tunnel?: Tunnel): HttpAgent {
    const key = JSON.stringify([secure, verify, tunnel]);
    const agent = this.#agents.get(key) ?? newAgent(secure, verify, tunnel);
    this.#agents.set(key, agent);
    return agent;
  }
}

function newAgent(secure: boolean, verify: boolean, tunnel: Tunnel | undefined): HttpAgent {
  if (!secure) return new HttpAgent(KEPT);
  const agent = new HttpsAgent({ ...KEPT, ...trust(verify) });
  return tunnel ? Object.assign(agent, { createConnection: connectThrough({ ...tunnel, trust: trust(true) }) }) : agent;
}

function trust(verify: boolean): { readonly rejectUnauthorized: boolean; readonly secureContext?: SecureContext } {
  return verify ? { rejectUnauthorized: true, secureContext: trusted().context } : { rejectUnauthorized: false };
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(bytesOf(`${username}:${password}`)).toString('base64')}`;
}

/** Headers as Node takes them: each character is a byte. */
function sendable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      if (/[^\P{Cc}\t]/u.test(value)) {
        throw invalidArgument('A header cannot have more than one line, or characters that nobody can see');
      }
      return [name, Buffer.from(bytesOf(value)).toString('latin1')];
    }),
  );
}

/** A request and its answer. */
class Exchange {
  readonly #request: ClientRequest;
  readonly #peer: Peer;
  readonly #patience: number;
  readonly #since = Date.now();
  /** Bytes that had come over the connection before. */
  #before = 0;
  #body: Incoming | undefined;

  constructor(request: ClientRequest, peer: Peer, patience: number) {
    this.#request = request;
    this.#peer = peer;
    this.#patience = patience;
  }

  get #received(): number {
    return (this.#request.socket?.bytesRead ?? 0) - this.#before;
  }

  /**
   * The answer; undefined: the connection was kept from before, and has ended meanwhile, which nobody can see before.
   * @throws BlockError in curl's words.
   */
  answer(): Promise<HttpAnswer | undefined> {
    const request = this.#request;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      // Requests that wait for a connection to be free do not wait for the server.
      request.once('socket', ({ bytesRead }) => {
        this.#before = bytesRead;
        if (this.#patience === 0) return;
        timer = setTimeout(() => request.destroy(timedOut(this.#patience, this.#received)), this.#patience);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        if (this.#body) return this.#body.fail(brokenAnswer(error));
        const received = this.#received;
        if (request.reusedSocket && received === 0 && /^(?:ECONNRESET|EPIPE)$/.test(error.code ?? ''))
          resolve(undefined);
        else reject(unanswered(error, this.#peer, this.#since, { received, most: MAX_HEAD }));
      });
      request.once('response', (message) => {
        clearTimeout(timer);
        resolve(this.#of(message));
      });
      request.end();
    });
  }

  #of(message: IncomingMessage): HttpAnswer {
    const patience = this.#patience;
    const incoming = new Incoming(message, patience, {
      silent: (received) => timedOut(patience, received),
      broken: brokenAnswer,
    });
    this.#body = incoming;
    const length = Number(message.headers['content-length'] ?? Number.NaN);
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let bytes = await incoming.next(); bytes; bytes = await incoming.next()) yield bytes;
    }
    return {
      status: message.statusCode ?? 0,
      headers: joined(message.headers),
      body: body(),
      read: (into) => incoming.fill(into),
      end() {
        // A rest that is short is on its way already.
        if (message.complete || length - incoming.received <= DRAINED) message.resume();
        else message.destroy();
      },
    };
  }
}

function joined(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value = '']) => [name, typeof value === 'string' ? value : value.join(', ')]),
  );
}
