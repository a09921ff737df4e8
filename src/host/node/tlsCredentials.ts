/** The files of TLS credentials, with the real tool's words for what is wrong with them. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { asBlockError, BlockError, invalidArgument } from '../../base/error.ts';
import type { TlsCredentials } from '../../block/objects.ts';
import { nodeError } from './fileErrors.ts';
import { hostName } from './fileNames.ts';

/** What connecting takes of credentials. */
export type LoadedCredentials =
  | { readonly type: 'tls-creds-anon' }
  | { readonly type: 'tls-creds-psk'; readonly username: string; readonly key: Buffer }
  | {
      readonly type: 'tls-creds-x509';
      readonly ca: Buffer;
      readonly crl?: Buffer;
      readonly cert?: Buffer;
      readonly key?: Buffer;
      readonly passphrase?: string;
    };

/** Whose key it is if nobody says. */
const USERNAME = 'qemu';

/**
 * Reads the files of a client.
 * @throws BlockError if one that has to be there is not, or is not what it should be.
 */
export function loadCredentials(credentials: TlsCredentials, passphrase?: Uint8Array): LoadedCredentials {
  const { type, dir, username = USERNAME } = credentials;
  if (type === 'tls-creds-anon') return { type };
  if (dir === undefined) throw invalidArgument("Missing 'dir' property value");
  if (type === 'tls-creds-psk') return { type, username, key: keyOf(`${dir}/keys.psk`, username) };
  const ca = certificates(`${dir}/ca-cert.pem`, fileOf(`${dir}/ca-cert.pem`));
  const crl = optionalFileOf(`${dir}/ca-crl.pem`);
  const cert = optionalFileOf(`${dir}/client-cert.pem`);
  const key = optionalFileOf(`${dir}/client-key.pem`);
  return {
    type,
    ca,
    ...(crl ? { crl } : {}),
    ...(cert ? { cert: certificates(`${dir}/client-cert.pem`, cert) } : {}),
    ...(key ? { key } : {}),
    ...(passphrase ? { passphrase: Buffer.from(passphrase).toString('latin1') } : {}),
  };
}

function fileOf(name: string): Buffer {
  try {
    return readFileSync(hostName(name));
  } catch (thrown) {
    throw asBlockError(nodeError(thrown, `Unable to access credentials ${name}`, { filename: name, access: 'read' }));
  }
}

function optionalFileOf(name: string): Buffer | undefined {
  try {
    return fileOf(name);
  } catch (thrown) {
    if (thrown instanceof BlockError && thrown.kind === 'not-found') return undefined;
    throw thrown;
  }
}

/** The bytes, if a certificate is in them. */
function certificates(name: string, bytes: Buffer): Buffer {
  try {
    void new X509Certificate(bytes);
    return bytes;
  } catch (cause) {
    throw invalidArgument(`Unable to import certificate ${name}: No certificate was found.`, { cause });
  }
}

/** The key of a user: lines are `NAME:HEXADECIMAL`. */
function keyOf(name: string, username: string): Buffer {
  const lines = fileOf(name).toString('latin1').split('\n');
  const line = lines.find((text) => text.startsWith(`${username}:`));
  if (line === undefined) throw invalidArgument(`Username ${username} not found in PSK file ${name}`);
  const digits = line.slice(username.length + 1).trim();
  if (digits.length > 0 && digits.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(digits)) return Buffer.from(digits, 'hex');
  throw invalidArgument('Cannot set PSK client credentials: Error in parsing.');
}
