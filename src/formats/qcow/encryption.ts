/** The format's encryption: AES-128-CBC by sectors of 512 bytes, the key being the passphrase itself. */
import { invalidArgument } from '../../base/error.ts';
import type { Services } from '../../block/services.ts';
import { legacyAesCipher, type SectorCipher } from '../../crypto/sectorCipher.ts';
import type { Header } from './header.ts';
import type { CreateOptions, OpenOptions } from './options.ts';

/** Throws if the options of opening ask for another encryption than the image has. */
export function checkFormatOption(header: Header, options: OpenOptions): void {
  const format = options['encrypt.format'];
  if (format === undefined) return;
  if (header.encryption === 0) {
    throw invalidArgument(`No encryption in image header, but options specified format '${format}'`);
  }
  if (format !== 'aes') {
    throw invalidArgument(`Header reported 'aes' encryption format but options specify '${format}'`);
  }
}

/** The secret that `encrypt.key-secret` names. */
async function passphrase(services: Services, options: OpenOptions): Promise<Uint8Array> {
  const id = options['encrypt.key-secret'];
  if (id === undefined) throw invalidArgument("Parameter 'encrypt.key-secret' is required for cipher");
  return services.secrets.get(id);
}

/** The cipher of an encrypted image; it needs the key. */
export async function cipherOf(services: Services, options: OpenOptions): Promise<SectorCipher> {
  return legacyAesCipher(services.crypto, await passphrase(services, options));
}

/**
 * The encryption that options of creation ask for, `aes` being the only one there is.
 * @throws BlockError in the real tool's order; whether the format can be used is checked later, see {@link checkNew}.
 */
export function formatOfNew(options: CreateOptions): string | undefined {
  const format = options['encrypt.format'];
  if (options.encryption === true) {
    if (format !== undefined)
      throw invalidArgument("'encrypt.format' and its alias 'encryption' can't be used at the same time");
    return 'aes';
  }
  if (format !== undefined && format !== 'aes' && format !== 'luks') {
    throw invalidArgument(`Parameter 'format' does not accept value '${format}'`);
  }
  if (format === undefined && options['encrypt.key-secret'] !== undefined) {
    throw invalidArgument("Parameter 'encrypt.format' is missing");
  }
  return format;
}

/** Throws if a new image cannot be encrypted that way, or if there is no key. */
export async function checkNew(services: Services, format: string, options: OpenOptions): Promise<void> {
  if (format !== 'aes') throw invalidArgument('Unsupported encryption format');
  await passphrase(services, options);
}
