/** Headers in storages, and the passphrases for them. */
import { invalidArgument } from '../../base/error.ts';
import type { Services } from '../../block/services.ts';
import type { LuksIo } from '../../crypto/luks/keyslot.ts';
import type { Storage } from '../../storage/storage.ts';

/** Access to the header at the start of a storage. */
export function luksIo(storage: Storage): LuksIo {
  return {
    read: (offset, into) => storage.readPadded(offset, into),
    write: (offset, from) => storage.write(offset, from),
  };
}

/** The passphrase that `key-secret` names; throws if there is none. */
export async function passphraseOf(
  services: Services,
  options: { readonly 'key-secret'?: string | undefined },
): Promise<Uint8Array> {
  const id = options['key-secret'];
  if (id === undefined) {
    throw invalidArgument("Parameter 'key-secret' is required for cipher");
  }
  return services.secrets.get(id);
}
