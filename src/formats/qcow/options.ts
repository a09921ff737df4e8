/** Options of the format, which both programs know. */
import type { OptionValues } from '../../options/table.ts';

/** Runtime options. */
export const openOptions = {
  'encrypt.format': { kind: 'string', help: 'Encryption of the image' },
  'encrypt.key-secret': { kind: 'string', help: 'Id of the secret with the AES key' },
} as const;

/** Values of {@link openOptions}; new images have options of the same names. */
export type OpenOptions = OptionValues<typeof openOptions>;

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  backing_file: { kind: 'string', help: 'Name of the backing image' },
  backing_fmt: { kind: 'string', help: 'Format of the backing image' },
  encryption: { kind: 'bool', help: "Encrypt with format 'aes' (deprecated, use encrypt.format=aes)" },
  'encrypt.format': { kind: 'string', help: "Encryption of the image: 'aes'" },
  'encrypt.key-secret': { kind: 'string', help: 'Id of the secret with the AES key' },
} as const;

/** Values of {@link createOptions}. */
export type CreateOptions = OptionValues<typeof createOptions>;
