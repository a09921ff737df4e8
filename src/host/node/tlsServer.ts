/** TLS for those who have connected to this process. */
import type { Socket } from 'node:net';
import { createServer, type TlsOptions, type TLSSocket } from 'node:tls';
import { BlockError, unsupported } from '../../base/error.ts';
import type { Connection, TlsSettings } from '../../block/net.ts';
import { type Secure, SocketConnection } from './connection.ts';
import { otherRuntime } from './runtime.ts';
import { loadServerCredentials, type LoadedServerCredentials, readFile } from './tlsCredentials.ts';
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

/** What is encrypted is not encrypted once more. */
const once: Secure = () => Promise.reject(new BlockError('internal', 'The connection is encrypted already'));

/** What each kind of credentials means to OpenSSL. */
function waysOf(loaded: LoadedServerCredentials): TlsOptions {
  switch (loaded.type) {
    case 'tls-creds-psk':
      // BoringSSL, which Bun has in place of OpenSSL, knows no such ciphers.
      if (otherRuntime()) throw unsupported('tls-creds-psk cannot be used here: take tls-creds-x509');
      return {
        ciphers: 'PSK:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:@SECLEVEL=0',
        pskCallback: (_, name) => loaded.keys.get(name) ?? null,
      };
    case 'tls-creds-anon':
      // OpenSSL has no ciphers without any authentication that GnuTLS would take.
      throw unsupported('tls-creds-anon cannot be used here: take tls-creds-x509');
    default: {
      const { ca, crl, cert, key, passphrase } = loaded;
      return {
        ca,
        cert,
        key,
        ...(crl === undefined ? {} : { crl }),
        ...(passphrase === undefined ? {} : { passphrase }),
      };
    }
  }
}
