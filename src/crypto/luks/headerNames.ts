/** Names in a LUKS header: the cipher, `mode-ivgen:hash`, the hash. */
import { invalidImage, unsupported } from '../../base/error.ts';
import { HASH_NAMES, type HashName } from '../spec.ts';
import { CIPHER_MODES, type CipherSpec, checkIvGen, findCipher, IVGEN_NAMES, volumeKeyLength } from '../spec.ts';

function parseHash(name: string): HashName {
  const hash = HASH_NAMES.find((known) => known === name);
  if (hash) return hash;
  throw unsupported(`Hash algorithm '${name}' not supported`);
}

/**
 * What a header's strings mean.
 * @param keyLength bytes of the master key: both keys of XTS.
 * Throws `unsupported` for what is not known or does not go together.
 */
export function parseHeaderNames(
  cipherName: string,
  modeString: string,
  hashName: string,
  keyLength: number,
): { readonly spec: CipherSpec; readonly hash: HashName } {
  const dash = modeString.indexOf('-');
  if (dash < 0) throw invalidImage(`Unexpected cipher mode string format '${modeString}'`);
  const modeName = modeString.slice(0, dash);
  const [ivgenName, ivgenHashName] = split(modeString.slice(dash + 1), ':');
  const ivgenHash = ivgenHashName === undefined ? undefined : parseHash(ivgenHashName);

  const mode = CIPHER_MODES.find((known) => known === modeName);
  if (!mode) throw unsupported(`Cipher mode '${modeName}' not supported`);
  const cipherKeyLength = mode === 'xts' ? Math.floor(keyLength / 2) : keyLength;
  const cipher = findCipher(cipherName, cipherKeyLength);
  if (!cipher || volumeKeyLength({ cipher, mode }) !== keyLength) {
    throw unsupported(`Algorithm '${cipherName}' with key size ${cipherKeyLength} bytes not supported`);
  }
  const hash = parseHash(hashName);
  const ivgen = IVGEN_NAMES.find((known) => known === ivgenName);
  if (!ivgen) throw unsupported(`IV generator '${ivgenName}' not supported`);
  const spec: CipherSpec = { cipher, mode, ivgen, ...(ivgenHash === undefined ? {} : { ivgenHash }) };
  checkIvGen(spec);
  return { spec, hash };
}

/** The text around the first separator. */
function split(text: string, separator: string): [before: string, after?: string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
