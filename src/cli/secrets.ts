/** Secret objects: where their bytes come from. */
import { utf8Bytes } from '../base/bytes.ts';
import { BlockError, invalidArgument } from '../base/error.ts';
import type { SecretStore } from '../block/services.ts';

/** Properties of a secret. */
export interface SecretSource {
  readonly data?: string;
  readonly file?: string;
  readonly format?: 'raw' | 'base64';
  /** Id of the secret that holds the key this one is encrypted with. */
  readonly keyid?: string;
  /** Initialization vector in base64. */
  readonly iv?: string;
}

/** The part of the world that secrets need. */
export interface SecretFiles {
  readFile(name: string): Promise<Uint8Array>;
}

/** AES-256-CBC: bytes of the key, and of the block. */
const KEY_SIZE = 32;
const BLOCK_SIZE = 16;

/** The error for an id that nothing has. */
export function unknownSecret(id: string): BlockError {
  return new BlockError('not-found', `No secret with id '${id}'`);
}

/** A store without secrets. */
export const noSecrets: SecretStore = {
  get(id) {
    throw unknownSecret(id);
  },
};

function fromBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/=\n]*$/.test(text)) throw invalidArgument('Base64 data contains invalid characters');
  return new Uint8Array(Buffer.from(text, 'base64'));
}

async function rawBytes(source: SecretSource, files: SecretFiles): Promise<Uint8Array> {
  if (source.file === undefined) {
    if (source.data === undefined) throw invalidArgument("Either 'file' or 'data' must be provided");
    return utf8Bytes(source.data);
  }
  if (source.data !== undefined) throw invalidArgument("'file' and 'data' are mutually exclusive");
  try {
    return await files.readFile(source.file);
  } catch (thrown) {
    if (!(thrown instanceof BlockError)) throw thrown;
    const step = thrown.kind === 'is-directory' ? 'Error reading file' : 'Failed to open file';
    const message = `Unable to read ${source.file}: ${step} “${source.file.replace(/\p{Surrogate}/gu, '\ufffd')}”: ${thrown.strerror}`;
    throw new BlockError(thrown.kind, message, { cause: thrown });
  }
}

/** The bytes of a secret, decoded and decrypted. */
export async function loadSecret(source: SecretSource, files: SecretFiles, others: SecretStore): Promise<Uint8Array> {
  const raw = await rawBytes(source, files);
  if (source.keyid !== undefined) return decrypt(raw, source, source.keyid, others);
  return source.format === 'base64' ? fromBase64(new TextDecoder('latin1').decode(raw)) : raw;
}

/** Decrypts AES-256-CBC with PKCS#7 padding under the key of another secret. */
async function decrypt(raw: Uint8Array, source: SecretSource, keyId: string, others: SecretStore): Promise<Uint8Array> {
  const key = await others.get(keyId);
  if (key.length !== KEY_SIZE) throw invalidArgument(`Key should be ${KEY_SIZE} bytes in length`);
  if (source.iv === undefined) throw invalidArgument('IV is required to decrypt secret');
  const iv = fromBase64(source.iv);
  if (iv.length !== BLOCK_SIZE) throw invalidArgument(`IV should be ${BLOCK_SIZE} bytes in length not ${iv.length}`);
  const coded = source.format === 'base64' ? fromBase64(new TextDecoder('latin1').decode(raw)) : raw;
  if (coded.length % BLOCK_SIZE !== 0) {
    throw invalidArgument(`Length ${coded.length} must be a multiple of block size ${BLOCK_SIZE}`);
  }
  const { createDecipheriv } = await import('node:crypto');
  const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
  const plain = new Uint8Array(Buffer.concat([decipher.update(coded), decipher.final()]));
  const padding = plain[plain.length - 1] ?? 0;
  if (padding > BLOCK_SIZE || padding > plain.length) {
    throw invalidArgument(`Incorrect number of padding bytes (${padding}) found on decrypted data`);
  }
  return plain.subarray(0, plain.length - padding);
}
