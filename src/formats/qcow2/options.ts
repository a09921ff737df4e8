/** Option tables of the qcow2 driver. */
import type { OptionValues } from '../../options/table.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  encryption: { kind: 'bool', help: "Encrypt with format 'aes' (deprecated, use encrypt.format=aes)" },
  'encrypt.format': { kind: 'string', help: "Encryption of the image: 'aes' or 'luks'" },
  'encrypt.key-secret': { kind: 'string', help: 'Id of the secret with the AES key or the LUKS passphrase' },
  'encrypt.cipher-alg': { kind: 'string', help: 'Cipher' },
  'encrypt.cipher-mode': { kind: 'string', help: 'Cipher mode' },
  'encrypt.ivgen-alg': { kind: 'string', help: 'How initialisation vectors are made' },
  'encrypt.ivgen-hash-alg': { kind: 'string', help: 'Hash used to make initialisation vectors' },
  'encrypt.hash-alg': { kind: 'string', help: 'Hash of the key derivation' },
  'encrypt.iter-time': { kind: 'number', help: 'Milliseconds that one key derivation should take' },
  cluster_size: { kind: 'size', help: 'Bytes in a cluster, a power of two from 512 to 2M', default: 65536 },
  extended_l2: { kind: 'bool', help: 'L2 entries that describe subclusters', default: false },
  preallocation: { kind: 'string', help: 'What is reserved ahead: off, metadata, falloc or full' },
  compression_type: { kind: 'string', help: 'Compression of compressed clusters: zlib or zstd', default: 'zlib' },
  keep_data_file: { kind: 'bool', help: 'The external data file exists already and keeps its content' },
  size: { kind: 'size', help: 'Size of the virtual disk' },
  compat: { kind: 'string', help: 'Format version: v2 (0.10) or v3 (1.1)' },
  backing_file: { kind: 'string', help: 'Name of the backing image' },
  backing_fmt: { kind: 'string', help: 'Format of the backing image' },
  data_file: { kind: 'string', help: 'Name of an external file for guest data' },
  data_file_raw: { kind: 'bool', help: 'Keep the external data file valid as a raw image' },
  lazy_refcounts: { kind: 'bool', help: 'Write reference counts late', default: false },
  refcount_bits: { kind: 'number', help: 'Bits of a reference count, a power of two from 1 to 64', default: 16 },
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
