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

/** Bytes of the shortest key that is one. */
const MIN_KEY = 4;

/** Whose key it is if nobody says. */
const USERNAME = 'qemu';

/** Reads a small file; fails with a `BlockError` that has the C library's text. */
export type ReadFile = (name: string) => Uint8Array | Promise<Uint8Array>;

/** A file of this machine. Not with the promises of `node:fs`: they need a thread, which there may be none for. */
export const readFile: ReadFile = (name) => {
  try {
    return readFileSync(hostName(name));
  } catch (thrown) {
    throw asBlockError(nodeError(thrown, undefined, { filename: name, access: 'read' }));
  }
};

/**
 * Reads the files of a client.
 * @throws BlockError if one that has to be there is not, or is not what it should be.
 */
export async function loadCredentials(
  credentials: TlsCredentials,
  read: ReadFile,
  passphrase?: Uint8Array,
): Promise<LoadedCredentials> {
  const { type, dir, username = USERNAME } = credentials;
  if (type === 'tls-creds-anon') return { type };
  if (dir === undefined) throw invalidArgument("Missing 'dir' property value");
  if (type === 'tls-creds-psk') {
    const name = `${dir}/keys.psk`;
    return { type, username, key: keyOf(name, await fileOf(read, name), username) };
  }
  const ca = certificates(`${dir}/ca-cert.pem`, await fileOf(read, `${dir}/ca-cert.pem`));
  const crl = await optionalFileOf(read, `${dir}/ca-crl.pem`);
  const cert = await optionalFileOf(read, `${dir}/client-cert.pem`);
  const key = await optionalFileOf(read, `${dir}/client-key.pem`);
  return {
    type,
    ca,
    ...(crl ? { crl } : {}),
    ...(cert ? { cert: certificates(`${dir}/client-cert.pem`, cert) } : {}),
    ...(key ? { key } : {}),
    ...(passphrase ? { passphrase: Buffer.from(passphrase).toString('latin1') } : {}),
  };
}

/** What serving takes of credentials. */
export type LoadedServerCredentials =
  | { readonly type: 'tls-creds-anon' }
  /** Keys by the names of their users. */
  | { readonly type: 'tls-creds-psk'; readonly keys: ReadonlyMap<string, Buffer> }
  | {
      readonly type: 'tls-creds-x509';
      readonly ca: Buffer;
      readonly crl?: Buffer;
      readonly cert: Buffer;
      readonly key: Buffer;
      readonly passphrase?: string;
    };

/**
 * Reads the files of a server.
 * @throws BlockError if one that has to be there is not, or is not what it should be.
 */
export async function loadServerCredentials(
  { type, dir }: TlsCredentials,
  read: ReadFile,
  passphrase?: Uint8Array,
): Promise<LoadedServerCredentials> {
  if (type === 'tls-creds-anon') return { type };
  if (dir === undefined) throw invalidArgument("Missing 'dir' property value");
  if (type === 'tls-creds-psk') return { type, keys: keysOf(await fileOf(read, `${dir}/keys.psk`)) };
  const crl = await optionalFileOf(read, `${dir}/ca-crl.pem`);
  return {
    type,
    ca: certificates(`${dir}/ca-cert.pem`, await fileOf(read, `${dir}/ca-cert.pem`)),
    ...(crl ? { crl } : {}),
    cert: certificates(`${dir}/server-cert.pem`, await fileOf(read, `${dir}/server-cert.pem`)),
    key: await fileOf(read, `${dir}/server-key.pem`),
    ...(passphrase ? { passphrase: Buffer.from(passphrase).toString('latin1') } : {}),
  };
}

/** All keys of a file that are some. */
function keysOf(bytes: Buffer): ReadonlyMap<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const line of bytes.toString('latin1').split('\n')) {
    const [, name = '', digits = ''] = /^([^:]+):((?:[0-9a-fA-F]{2})+)\s*$/.exec(line) ?? [];
    if (digits.length >= 2 * MIN_KEY) keys.set(name, Buffer.from(digits, 'hex'));
  }
  return keys;
}

/** Looks at credentials when they are named, as the real tool does. Those of servers are only looked for. */
export async function checkCredentials(credentials: TlsCredentials, read: ReadFile): Promise<void> {
  const { type, dir, username, endpoint } = credentials;
  if (endpoint !== 'server' || dir === undefined) {
    await loadCredentials(credentials, read);
    return;
  }
  if (username !== undefined) throw invalidArgument('username should not be set when endpoint=server');
  const files = {
    'tls-creds-anon': [],
    'tls-creds-psk': ['keys.psk'],
    'tls-creds-x509': ['ca-cert.pem', 'server-cert.pem', 'server-key.pem'],
  };
  for (const file of files[type]) await fileOf(read, `${dir}/${file}`);
}

async function fileOf(read: ReadFile, name: string): Promise<Buffer> {
  try {
    const bytes = await read(name);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Unable to access credentials ${name}: ${error.strerror}`);
  }
}

async function optionalFileOf(read: ReadFile, name: string): Promise<Buffer | undefined> {
  try {
    return await fileOf(read, name);
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
function keyOf(name: string, bytes: Buffer, username: string): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  const line = lines.find((text) => text.startsWith(`${username}:`));
  if (line === undefined) throw invalidArgument(`Username ${username} not found in PSK file ${name}`);
  const digits = line.slice(username.length + 1).trim();
  if (digits.length === 0 || digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) {
    throw invalidArgument('Cannot set PSK client credentials: Error in parsing.');
  }
  if (digits.length < 2 * MIN_KEY) throw invalidArgument('Cannot set PSK client credentials: The request is invalid.');
  return Buffer.from(digits, 'hex');
}
