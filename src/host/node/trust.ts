/** Whose certificates this machine trusts, and what is said of others. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { BlockError } from '../../base/error.ts';

/** Where distributions of Linux, and macOS, have the certificates of authorities; the first one that is there counts. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
];

/** Certificates of authorities, and where they are from. */
interface Bundle {
  readonly file: string;
  readonly context: SecureContext;
}

let known: Bundle | undefined;

/**
 * What the machine trusts: the file that `SSL_CERT_FILE` names, as OpenSSL has it, or the system's own; where there is none,
 * what the runtime brings with it.
 * @throws BlockError if the file that is named cannot be read.
 */
export function trusted(): Bundle {
  known ??= load();
  return known;
}

function load(): Bundle {
  const named = process.env['SSL_CERT_FILE'] ?? '';
  for (const file of named === '' ? BUNDLES : [named]) {
    try {
      return { file, context: createSecureContext({ ca: readFileSync(file) }) };
    } catch (cause) {
      if (named !== '') throw new BlockError('io', `error reading ca cert file ${file}`, { cause });
    }
  }
  return { file: 'none', context: createSecureContext() };
}

const VERIFICATION = 'SSL certificate verification failed: ';

/** What is wrong with a certificate, by the names of OpenSSL. */
const DISTRUST: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate has expired.',
  CERT_NOT_YET_VALID: 'certificate not yet active.',
  CERT_REVOKED: 'certificate revoked.',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate signer not trusted.',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate signer not trusted.',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate signer not trusted.',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate signer not trusted.',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate signer not trusted.',
};

/** The error for a certificate that is not trusted; undefined if that is not what has happened. */
export function distrust(error: NodeJS.ErrnoException, host: string): BlockError | undefined {
  const { code = '' } = error;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const text = `SSL: certificate subject name does not match target hostname '${host}'`;
    return new BlockError('permission-denied', text, { cause: error });
  }
  const why = Object.hasOwn(DISTRUST, code) ? DISTRUST[code] : undefined;
  if (why === undefined && !/^(?:CERT_|CRL_|UNABLE_TO_)/.test(code)) return undefined;
  const text = `${VERIFICATION}${why ?? error.message} (CAfile: ${trusted().file} CRLfile: none)`;
  return new BlockError('permission-denied', text, { cause: error });
}
