/** Option tables of the qcow2 driver. */
import type { OptionValues } from '../../options/table.ts';

/** Options of `create -o`, in the order in which the real tool repeats them; the help is what it prints, too. */
export const createOptions = {
  encryption: {
    kind: 'bool',
    help: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
  },
  'encrypt.format': { kind: 'string', help: "Encrypt the image, format choices: 'aes', 'luks'" },
  'encrypt.key-secret': { kind: 'string', help: 'ID of secret providing qcow AES key or LUKS passphrase' },
  'encrypt.cipher-alg': { kind: 'string', help: 'Name of encryption cipher algorithm' },
  'encrypt.cipher-mode': { kind: 'string', help: 'Name of encryption cipher mode' },
  'encrypt.ivgen-alg': { kind: 'string', help: 'Name of IV generator algorithm' },
  'encrypt.ivgen-hash-alg': { kind: 'string', help: 'Name of IV generator hash algorithm' },
  'encrypt.hash-alg': { kind: 'string', help: 'Name of encryption hash algorithm' },
  'encrypt.iter-time': { kind: 'number', help: 'Time to spend in PBKDF in milliseconds' },
  cluster_size: { kind: 'size', help: 'qcow2 cluster size', default: 65536 },
  extended_l2: { kind: 'bool', help: 'Extended L2 tables', default: false },
  preallocation: { kind: 'string', help: 'Preallocation mode (allowed values: off, metadata, falloc, full)' },
  compression_type: { kind: 'string', help: 'Compression method used for image cluster compression', default: 'zlib' },
  keep_data_file: { kind: 'bool', help: 'Assume the external data file already exists and do not overwrite it' },
  size: { kind: 'size', help: 'Virtual disk size' },
  compat: { kind: 'string', help: 'Compatibility level (v2 [0.10] or v3 [1.1])' },
  backing_file: { kind: 'string', help: 'File name of a base image' },
  backing_fmt: { kind: 'string', help: 'Image format of the base image' },
  data_file: { kind: 'string', help: 'File name of an external data file' },
  data_file_raw: { kind: 'bool', help: 'The external data file must stay valid as a raw image' },
  lazy_refcounts: { kind: 'bool', help: 'Postpone refcount updates', default: false },
  refcount_bits: { kind: 'number', help: 'Width of a reference count entry in bits', default: 16 },
} as const;

/** Options of `amend -o`. */
export const amendOptions = {
  backing_file: { kind: 'string', help: 'Name of the backing image; cannot be changed here' },
  backing_fmt: { kind: 'string', help: 'Format of the backing image; cannot be changed here' },
  compat: { kind: 'string', help: 'Format version: v2 (0.10) or v3 (1.1)' },
  data_file: { kind: 'string', help: 'Name of the external file for guest data' },
  data_file_raw: { kind: 'bool', help: 'Keep the external data file valid as a raw image; can only be given up' },
  'encrypt.iter-time': { kind: 'number', help: 'Milliseconds that one key derivation should take' },
  'encrypt.keyslot': { kind: 'number', help: 'The one key slot that is meant, 0 to 7' },
  'encrypt.new-secret': { kind: 'string', help: 'Id of the secret with the passphrase to add' },
  'encrypt.old-secret': { kind: 'string', help: 'Id of the secret whose key slots are meant' },
  'encrypt.state': { kind: 'string', help: "'active' adds a passphrase, 'inactive' erases key slots" },
  lazy_refcounts: { kind: 'bool', help: 'Write reference counts late' },
  refcount_bits: { kind: 'number', help: 'Bits of a reference count, a power of two from 1 to 64' },
  size: { kind: 'size', help: 'Size of the virtual disk' },
} as const;

/** Runtime options. */
export const openOptions = {
  'lazy-refcounts': { kind: 'bool', help: 'Write reference counts late' },
  'pass-discard-request': { kind: 'bool', help: 'Without effect: pass-discard-snapshot holds for all space' },
  'pass-discard-snapshot': { kind: 'bool', help: 'Give freed space back to the file, whatever it was used for' },
  'pass-discard-other': { kind: 'bool', help: 'Without effect: pass-discard-snapshot holds for all space' },
  'discard-no-unref': { kind: 'bool', help: 'Without effect: discarded clusters are given up' },
  'overlap-check': { kind: 'string', help: 'Metadata that writes are kept off: none, constant, cached or all' },
  'overlap-check.template': { kind: 'string', help: 'The same, changed by the options below' },
  'overlap-check.main-header': { kind: 'bool', help: 'Without effect: writes are always kept off the header' },
  'overlap-check.active-l1': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.active-l2': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.refcount-table': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.refcount-block': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.snapshot-table': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.inactive-l1': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.inactive-l2': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'overlap-check.bitmap-directory': { kind: 'bool', help: 'Keep writes off this kind of metadata' },
  'cache-size': { kind: 'size', help: 'Bytes of cached metadata, 4 tables to 256M for each kind' },
  'l2-cache-size': { kind: 'size', help: 'Bytes of cached L2 tables' },
  'l2-cache-entry-size': { kind: 'size', help: 'Without effect: tables are cached as a whole' },
  'refcount-cache-size': { kind: 'size', help: 'Bytes of cached refcount blocks' },
  'cache-clean-interval': { kind: 'number', help: 'Without effect: caches live as long as the image is open' },
  'encrypt.format': { kind: 'string', help: 'Encryption of the image' },
  'encrypt.key-secret': { kind: 'string', help: 'Id of the secret with the key or passphrase' },
} as const;

/** Values of {@link createOptions}. */
export type CreateOptions = OptionValues<typeof createOptions>;

/** Values of {@link amendOptions}. */
export type AmendOptions = OptionValues<typeof amendOptions>;

/** Values of {@link openOptions}. */
export type OpenOptions = OptionValues<typeof openOptions>;
