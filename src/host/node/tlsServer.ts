/** TLS for those who have connected to this process. */
import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { BlockError } from '../../base/error.ts';
import type { Connection, TlsSettings } from '../../block/net.ts';
import { SocketConnection } from './connection.ts';
import { once, waysOf } from './tls.ts';
import { loadServerCredentials, readFile } from './tlsCredentials.ts';
import { versionsOf } from './tlsPriority.ts';

/** Milliseconds that the handshake may take. */
const PATIENCE = 30000;

/** Encrypts a connection, as its server. Who the client is, is looked at if the credentials say so. */
export async function secureClient(socket: Socket, settings: TlsSettings): Promise<Connection> {
  const { credentials, passphrase } = settings;
  const loaded = await loadServerCredentials(credentials, readFile, passphrase);
  const asks = credentials.verifyPeer !== false && loaded.type === 'tls-creds-x509';
  const server = createServer({
    ...versionsOf(credentials.priority),
    ...waysOf(loaded),
    ...(loaded.type === 'tls-creds-psk'
      ? { pskCallback: (_: unknown, name: string) => loaded.keys.get(name) ?? null }
      : {}),
    handshakeTimeout: PATIENCE,
    requestCert: asks,
    rejectUnauthorized: asks,
  });
  return new Promise((resolve, reject) => {
    const failed = (error: Error | undefined): void => {
      socket.destroy();
      reject(
        new BlockError('io', `TLS handshake failed: ${error?.message ?? 'the client has gone'}`, { cause: error }),
      );
    };
    server.once('secureConnection', (secured: TLSSocket) => {
      socket.off('close', failed);
      resolve(new SocketConnection(() => secured, once));
    });
    server.once('tlsClientError', failed);
    socket.once('close', failed);
    server.emit('connection', socket);
  });
}
