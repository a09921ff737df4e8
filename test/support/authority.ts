/** Certificates that tests make for themselves, with certtool of GnuTLS. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A directory with an authority (`ca-cert.pem`), and certificates and keys of a server and a client by its hand. */
export function authority(folder: string, name: string): void {
  mkdirSync(folder);
  const certtool = (...args: readonly string[]): void => {
    execFileSync('certtool', args, { cwd: folder, stdio: 'ignore' });
  };
  const template = (file: string, ...lines: readonly string[]): string => {
    writeFileSync(join(folder, file), [...lines, 'expiration_days = 30', ''].join('\n'));
    return file;
  };
  certtool('--generate-privkey', '--ecc', '--outfile', 'ca-key.pem');
  const ca = template('ca.txt', `cn = "${name}"`, 'ca', 'cert_signing_key');
  certtool('--generate-self-signed', '--load-privkey', 'ca-key.pem', '--template', ca, '--outfile', 'ca-cert.pem');
  for (const [side, use] of [
    ['server', 'tls_www_server'],
    ['client', 'tls_www_client'],
  ] as const) {
    const text = template(`${side}.txt`, 'cn = "localhost"', 'dns_name = "localhost"', use, 'signing_key');
    certtool('--generate-privkey', '--ecc', '--outfile', `${side}-key.pem`);
    const signed = ['--load-ca-certificate', 'ca-cert.pem', '--load-ca-privkey', 'ca-key.pem'];
    const own = ['--load-privkey', `${side}-key.pem`, '--template', text, '--outfile', `${side}-cert.pem`];
    certtool('--generate-certificate', ...signed, ...own);
  }
}
