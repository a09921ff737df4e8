/** Connections through proxies that hand on whatever comes (`CONNECT`; RFC 9110, section 9.3.6). */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { BlockError } from '../../base/error.ts';
import { timedOut, unanswered } from './curlWords.ts';
import type { Proxy } from './proxy.ts';

/** A way to one server through a proxy. */
export interface Tunnel {
  readonly proxy: Proxy;
  /** What the proxy gets to know besides. */
  readonly headers: Readonly<Record<string, string>>;
  readonly host: string;
  readonly port: number;
  /** Milliseconds that the proxy and then the server may take; 0: for ever. */
  readonly patience: number;
}

/** As `createConnection` of an agent gets it. */
type Connected = (error: Error | null, socket?: Duplex) => void;

/**
 * The `createConnection` of an agent that connects through a proxy, and encrypts what goes through.
 * @param tunnel `trust`: options of TLS that say whose certificate the proxy may have.
 */
export function connectThrough(
  tunnel: Tunnel & { readonly trust: ConnectionOptions },
): (options: object, connected: Connected) => undefined {
  return (options, connected) => {
    throughProxy(tunnel)
      .then((socket) => encrypted({ ...options, socket }, tunnel.patience))
      .then(
        (socket) => connected(null, socket),
        (error: Error) => connected(error),
      );
    return undefined;
  };
}

/** A connection to the server, not encrypted yet. */
function throughProxy({
  proxy,
  headers,
  host,
  port,
  patience,
  trust,
}: Parameters<typeof connectThrough>[0]): Promise<Duplex> {
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const peer = { host: proxy.host, port: proxy.port, isProxy: true };
  const since = Date.now();
  const request = (proxy.secure ? requestHttps : requestHttp)({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path: target,
    agent: false,
    headers: { host: target, 'user-agent': 'qimg', ...headers },
    ...(proxy.secure ? { ...trust, servername: isIP(proxy.host) === 0 ? proxy.host : '' } : {}),
  });
  return new Promise<Duplex>((resolve, reject) => {
    const timer = patience > 0 && setTimeout(() => request.destroy(timedOut(patience, 0)), patience);
    const settle = (result: BlockError | Duplex): void => {
      if (timer) clearTimeout(timer);
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    request.on('error', (error) => {
      const failure = unanswered(error, peer, since);
      const aborted = failure.code === 'ECONNRESET';
      settle(aborted ? new BlockError('io', 'Proxy CONNECT aborted', { cause: error }) : failure);
    });
    const refused = (status: number | undefined): void =>
      settle(new BlockError('io', `CONNECT tunnel failed, response ${status}`));
    request.once('connect', ({ statusCode = 0 }, socket) => {
      if (statusCode >= 200 && statusCode < 300) return settle(socket);
      refused(statusCode);
      socket.destroy();
    });
    request.end();
  });
}

/** Encrypts a connection; where Node knows the name of the server it is among the options already. */
function encrypted(options: ConnectionOptions, patience: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(options, () => {
      socket.setTimeout(0);
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
    if (patience > 0) socket.setTimeout(patience, () => socket.destroy(timedOut(patience, 0)));
  });
}
