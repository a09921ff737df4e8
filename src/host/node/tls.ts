/** TLS over a socket that is connected already. */
import type { Socket } from 'node:net';
import {
  checkServerIdentity,
  connect,
  type ConnectionOptions,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import { BlockError, unsupported } from '../../base/error.ts';
import type { Connection, TlsSettings } from '../../block/net.ts';
import { type Secure, SocketConnection } from './connection.ts';
import { otherRuntime } from './runtime.ts';
import { loadCredentials, type LoadedCredentials, type LoadedServerCredentials, readFile } from './tlsCredentials.ts';
import { versionsOf } from './tlsPriority.ts';

/** Milliseconds that each step of the handshake may take. */
const PATIENCE = 30000;

/** What GnuTLS says when the other side just goes away. */
const TERMINATED = 'The TLS connection was non-properly terminated.';

/** What GnuTLS says of a server that wants to be trusted for other credentials. */
const INSUFFICIENT = 'Insufficient credentials for that request.';

/** How OpenSSL names what is wrong with a certificate, and how the real tool says it. */
const DISTRUST: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'The certificate has expired',
  CERT_NOT_YET_VALID: 'The certificate is not yet activated',
  CERT_REVOKED: 'The certificate has been revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: "The certificate hasn't got a known issuer",
  SELF_SIGNED_CERT_IN_CHAIN: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The certificate hasn't got a known issuer",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The certificate hasn't got a known issuer",
};

/** Encrypts a connection, as its client. Who the server is, is looked at before anything is sent to it. */
export async function secureConnection(socket: Socket, settings: TlsSettings): Promise<Connection> {
  const { credentials, hostname, passphrase } = settings;
  const loaded = await loadCredentials(credentials, readFile, passphrase);
  const options: ConnectionOptions = {
    socket,
    // Judged below, in the real tool's words.
    rejectUnauthorized: false,
    ...versionsOf(credentials.priority),
    ...(hostname === undefined || /^[\d.:]*$/.test(hostname) ? {} : { servername: hostname }),
    ...waysOf(loaded),
    ...(loaded.type === 'tls-creds-psk' ? keyOf(loaded) : {}),
  };
  const connection = new SocketConnection(() => connect(options), once);
  const secured = connection.socket as TLSSocket;
  connection.patience(PATIENCE);
  await new Promise<void>((resolve, reject) => {
    secured.once('secureConnect', resolve);
    secured.once('error', (error: Error) => reject(handshakeError(error)));
    secured.once('close', () => reject(handshakeError(undefined)));
  });
  try {
    if (loaded.type === 'tls-creds-x509') {
      if (credentials.verifyPeer !== false) verify(secured, hostname);
      // A server with a certificate, which nobody has looked at, is not one that has the key.
    } else if (Object.keys(secured.getPeerCertificate()).length > 0) {
      throw new BlockError('permission-denied', `TLS handshake failed: ${INSUFFICIENT}`);
    }
  } catch (error) {
    secured.destroy();
    throw error;
  }
  return connection;
}

/** What is encrypted is not encrypted once more. */
export const once: Secure = () => Promise.reject(new BlockError('internal', 'The connection is encrypted already'));

/** What each kind of credentials means to OpenSSL, on either side; how one finds a key that both sides have is for that side. */
export function waysOf(loaded: LoadedCredentials | LoadedServerCredentials): SecureContextOptions {
  switch (loaded.type) {
    case 'tls-creds-psk':
      // BoringSSL, which Bun has in place of OpenSSL, knows no such ciphers.
      if (otherRuntime()) throw unsupported('tls-creds-psk cannot be used here: take tls-creds-x509');
      return { ciphers: 'PSK:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:@SECLEVEL=0' };
    case 'tls-creds-anon':
      // OpenSSL has no ciphers without any authentication that GnuTLS would take.
      throw unsupported('tls-creds-anon cannot be used here: take tls-creds-x509');
    default: {
      const { ca, crl, cert, key, passphrase } = loaded;
      return {
        ca,
        ...(crl === undefined ? {} : { crl }),
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        ...(passphrase === undefined ? {} : { passphrase }),
      };
    }
  }
}

function keyOf({ key, username }: Extract<LoadedCredentials, { readonly username: string }>): ConnectionOptions {
  return { pskCallback: () => ({ psk: key, identity: username }), checkServerIdentity: () => undefined };
}

function verify(socket: TLSSocket, hostname: string | undefined): void {
  // A word, or an error with a word, whatever the types say.
  const reason = (socket.authorizationError ?? '') as string | NodeJS.ErrnoException;
  const code = typeof reason === 'string' ? reason : (reason.code ?? '');
  // With `rejectUnauthorized` off, Node looks at the chain only; at the name it looks when it is given one.
  const named = code === 'ERR_TLS_CERT_ALTNAME_INVALID';
  if (!socket.authorized && !named) {
    throw new BlockError('permission-denied', DISTRUST[code] ?? `The certificate is not trusted (${code})`);
  }
  if (hostname === undefined) throw new BlockError('invalid-argument', 'No hostname for certificate validation');
  if (!checkServerIdentity(hostname, socket.getPeerCertificate())) return;
  throw new BlockError('permission-denied', `Certificate does not match the hostname ${hostname}`);
}

function handshakeError(error: Error | undefined): BlockError {
  const { code = 'ECONNRESET', reason } = (error ?? {}) as NodeJS.ErrnoException & { readonly reason?: string };
  const gone = code === 'ECONNRESET' || code === 'EPIPE';
  const text = gone ? TERMINATED : (reason ?? error?.message ?? TERMINATED);
  return new BlockError('io', `TLS handshake failed: ${text}`, { cause: error });
}
