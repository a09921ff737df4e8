/** Secrets in memory. */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import type { SecretStore } from '../../block/services.ts';

/** Secrets in memory. */
export class MapSecretStore implements SecretStore {
  readonly #secrets = new Map<string, Uint8Array>();

  /** Adds a secret; text is taken as UTF-8. */
  set(id: string, secret: Uint8Array | string): void {
    this.#secrets.set(id, typeof secret === 'string' ? utf8Bytes(secret) : secret);
  }

  get(id: string): Uint8Array {
    const secret = this.#secrets.get(id);
    if (!secret) throw new BlockError('not-found', `No secret with id '${id}'`, { context: { access: 'secret' } });
    return secret;
  }
}
