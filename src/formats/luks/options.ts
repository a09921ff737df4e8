/** Option tables of the luks driver. */
import type { OptionValues } from '../../options/table.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  'key-secret': { kind: 'string', help: 'Id of the secret with the passphrase' },
  'cipher-alg': { kind: 'string', help: 'Cipher' },
  'cipher-mode': { kind: 'string', help: 'Cipher mode' },
  'ivgen-alg': { kind: 'string', help: 'How initialisation vectors are made' },
  'ivgen-hash-alg': { kind: 'string', help: 'Hash used to make initialisation vectors' },
  'hash-alg': { kind: 'string', help: 'Hash of the key derivation' },
  'iter-time': { kind: 'number', help: 'Milliseconds that one key derivation should take' },
  'detached-header': { kind: 'bool', help: 'Write the header only; the encrypted data is to be in another file' },
} as const;

/** Options of `amend -o`. */
export const amendOptions = {
  state: { kind: 'string', help: "'active' adds a passphrase, 'inactive' erases key slots" },
  'new-secret': { kind: 'string', help: 'Id of the secret with the passphrase to add' },
  'old-secret': { kind: 'string', help: 'Id of the secret whose key slots are meant' },
  keyslot: { kind: 'number', help: 'The one key slot that is meant, 0 to 7' },
  'iter-time': { kind: 'number', help: 'Milliseconds that one key derivation should take' },
} as const;

/** Runtime options; the child `header` has options of its own. */
export const openOptions = {
  'key-secret': { kind: 'string', help: 'Id of the secret with the passphrase' },
} as const;

/** Values of {@link createOptions}. */
export type CreateOptions = OptionValues<typeof createOptions>;
