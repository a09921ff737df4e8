/**
 * Checking a machine by the hash of its key, which ssh cannot do: it is asked for the key first, and then connects only to
 * whoever has that very key. So it does not matter if somebody else answers the second time.
 */
import { BlockError } from '../../base/error.ts';
import type { CryptoPort } from '../../crypto/crypto.ts';
import type { HostKeyCheck } from './address.ts';

/** The public key of a machine. */
export interface HostKey {
  /** For instance `ssh-ed25519`. */
  readonly type: string;
  /** In base64. */
  readonly key: string;
}

/** What stands in front of a key that was learned. */
const MARK = 'qimg-host-key';

/** A list of one host, made by a command (OpenSSH's ssh_config: KnownHostsCommand, tokens `%H`, `%t`, `%K`). */
function listing(script: string): readonly string[] {
  return [
    '-oStrictHostKeyChecking=yes',
    // Whatever else could vouch for the machine.
    '-oVerifyHostKeyDNS=no',
    '-oControlPath=none',
    '-oCheckHostIP=no',
    '-oUpdateHostKeys=no',
    `-oKnownHostsCommand=/bin/sh -c "${script}"`,
  ];
}

/** Options of ssh with which it says the key, and goes away. */
export function keyLearning(): readonly string[] {
  return listing(`echo '${MARK} %t %K' >&2`);
}

/** Options of ssh with which it connects only to who has that key; to nobody, if there is none. */
export function keyPinning(key: HostKey | undefined): readonly string[] {
  return listing(key ? `echo '%H ${key.type} ${key.key}'` : 'exit 1');
}

/** The key that ssh has said. */
export function learnedKey(complaint: string): HostKey | undefined {
  const [, type, key] = new RegExp(`^${MARK} ([\\w@.-]+) ([A-Za-z0-9+/]{16,}=*)$`, 'm').exec(complaint) ?? [];
  return type === undefined || key === undefined ? undefined : { type, key };
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The bytes that base64 stands for. */
function fromBase64(text: string): Uint8Array {
  const bytes: number[] = [];
  let [value, bits] = [0, 0];
  for (const digit of text.replaceAll('=', '')) {
    value = ((value << 6) | DIGITS.indexOf(digit)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return Uint8Array.from(bytes);
}

/** What is wrong with a key; undefined: its hash is the one that was given. */
export function mismatch(crypto: CryptoPort, { type, key }: HostKey, check: HostKeyCheck): BlockError | undefined {
  if (check.mode !== 'hash') return undefined;
  const digest = crypto.hash(check.type, fromBase64(key));
  const print = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (print === check.hash.replaceAll(':', '').toLowerCase()) return undefined;
  const [has, wanted] = [`${check.type}:${print}`, `${check.type}:${check.hash}`];
  return new BlockError(
    'permission-denied',
    `remote host ${type} key fingerprint '${has}' does not match host_key_check '${wanted}'`,
    { posix: { code: 'EPERM', text: 'Operation not permitted' } },
  );
}
