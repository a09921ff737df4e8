/** What of GnuTLS's words for versions and ciphers can be said to OpenSSL. */
import type { SecureVersion } from 'node:tls';
import { BlockError, unsupported } from '../../base/error.ts';

const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
/** As GnuTLS names them, in the same order. */
const NAMES = ['TLS1.0', 'TLS1.1', 'TLS1.2', 'TLS1.3'];
/** What a list begins with. Those that ask for strong ciphers only get OpenSSL's, which are. */
const SETS = /^(NORMAL|PERFORMANCE|PFS|SECURE128|SECURE192|SECURE256|SUITEB128|SUITEB192|@SYSTEM|@QEMU.*)$/;

/**
 * The versions of TLS that a priority string allows.
 * @throws BlockError for what is no such string, and for a choice of ciphers, which OpenSSL names otherwise.
 */
export function versionsOf(priority: string | undefined): {
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
} {
  if (priority === undefined) return {};
  const [set = '', ...changes] = priority.split(':');
  if (!SETS.test(set)) {
    throw new BlockError('invalid-argument', `Unable to set TLS session priority ${priority}: The request is invalid.`);
  }
  const allowed = new Set([2, 3]);
  for (const change of changes) {
    const [, sign, name = ''] = /^([-+!])VERS-(.*)$/.exec(change) ?? [];
    const all = name === 'TLS-ALL' || name === 'ALL';
    const index = NAMES.indexOf(name);
    if (sign === undefined || (index < 0 && !all)) {
      throw unsupported(
        `TLS session priority ${priority}: only versions (as in NORMAL:-VERS-TLS1.3) can be chosen here`,
      );
    }
    for (const version of all ? NAMES.keys() : [index]) {
      if (sign === '+') allowed.add(version);
      else allowed.delete(version);
    }
  }
  if (allowed.size === 0) throw new BlockError('io', 'TLS handshake failed: No or insufficient priorities were set.');
  const [min, max] = [VERSIONS[Math.min(...allowed)], VERSIONS[Math.max(...allowed)]];
  return { ...(min === undefined ? {} : { minVersion: min }), ...(max === undefined ? {} : { maxVersion: max }) };
}
