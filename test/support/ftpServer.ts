/** vsftpd as a server of FTP for tests: one process for each connection, at a port that nobody else can take before. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { listening } from './bridge.ts';
import { systemPath } from './otherPrograms.ts';

const PLAIN = [
  'listen=NO',
  'run_as_launching_user=YES',
  'allow_writeable_chroot=YES',
  'anonymous_enable=YES',
  'local_enable=NO',
  'xferlog_enable=NO',
  'seccomp_sandbox=NO',
];

const servers = new Set<Server>();
const running = new Set<ChildProcess>();

/**
 * Serves the files of a directory to everybody.
 * @param home a directory for what the server needs.
 * @param certificates a directory of {@link authority}: TLS from the first byte on.
 * @returns the port.
 */
export async function serveFtp(files: string, home: string, certificates?: string): Promise<number> {
  const empty = join(home, 'empty');
  mkdirSync(empty, { recursive: true });
  const tls = certificates !== undefined && [
    'ssl_enable=YES',
    'implicit_ssl=YES',
    'allow_anon_ssl=YES',
    'require_ssl_reuse=NO',
    'ssl_ciphers=HIGH',
    `rsa_cert_file=${certificates}/server-cert.pem`,
    `rsa_private_key_file=${certificates}/server-key.pem`,
  ];
  const configuration = join(home, tls === false ? 'plain.conf' : 'tls.conf');
  const lines = [...PLAIN, ...(tls === false ? [] : tls), `anon_root=${files}`, `secure_chroot_dir=${empty}`, ''];
  writeFileSync(configuration, lines.join('\n'), { mode: 0o600 });
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const env = { ...process.env, ...systemPath };
    const child = spawn('vsftpd', [configuration], { env, stdio: [socket, socket, 'ignore'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    // It is the child's now.
    socket.destroy();
  });
  servers.add(server);
  return listening(server);
}

/** Stops all servers, and waits until they are gone. */
export async function stopFtp(): Promise<void> {
  for (const server of servers) server.close();
  servers.clear();
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
