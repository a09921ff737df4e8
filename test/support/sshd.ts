/**
 * The system's sshd on a free port of the loopback, for whoever runs the tests: each connection that Node takes gets an
 * `sshd -i` of its own, with keys and a configuration that are only for the test.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { lackOf } from './needs.ts';
import { systemPath } from './otherPrograms.ts';
import type { Lack } from './skip.ts';

/** What is missing for these tests. */
export function lackOfSshd(): Lack {
  return lackOf(['sshd', 'ssh', 'ssh-keygen'], 'openssh-server openssh-client');
}

function keyFor(directory: string, name: string, type = 'ed25519'): string {
  const path = join(directory, name);
  if (!existsSync(path)) execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'test', '-f', path]);
  return path;
}

/** The public key of a key: its type, and it in base64. */
function publicKey(path: string): string {
  return readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
}

/** A server, and a client that trusts it. */
export class Sshd {
  readonly port: number;
  /** Who logs in. */
  readonly user: string = userInfo().username;
  /** The public key of the machine, in base64. */
  readonly key: string;
  readonly #directory: string;
  readonly #listener: Server;
  readonly #children: Set<ChildProcess>;
  /** The client whose connection others may use. */
  #master: ChildProcess | undefined;

  private constructor(directory: string, listener: Server, children: Set<ChildProcess>) {
    this.#directory = directory;
    this.#listener = listener;
    this.#children = children;
    this.port = (listener.address() as AddressInfo).port;
    this.key = publicKey(join(directory, 'host')).split(' ')[1] ?? '';
  }

  /** @param subsystem what is started for SFTP; default: the server's own. */
  static async start(directory: string, subsystem = 'internal-sftp'): Promise<Sshd> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const [host, own] = [keyFor(directory, 'host'), keyFor(directory, 'own')];
    // Where packages are installed without starting anything, nobody has made it.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    const configuration = join(directory, 'sshd_config');
    const lines = [
      `HostKey ${host}`,
      `AuthorizedKeysFile ${own}.pub`,
      'AuthenticationMethods publickey',
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
      'MaxStartups 100',
      `Subsystem sftp ${subsystem}`,
    ];
    writeFileSync(configuration, `${lines.join('\n')}\n`);
    const program = execFileSync('sh', ['-c', 'command -v sshd'], { encoding: 'utf8', env: systemPath }).trim();
    const children = new Set<ChildProcess>();
    const args = ['-i', '-f', configuration, '-E', join(directory, 'sshd.log')];
    const listener = createServer({ pauseOnConnect: true }, (socket) => {
      const child = spawn(program, args, { stdio: [socket, socket, 'ignore'], detached: true });
      children.add(child);
      child.once('exit', () => children.delete(child));
      socket.destroy();
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const server = new Sshd(directory, listener, children);
    server.#writeClient();
    return server;
  }

  #writeClient(): void {
    this.knows(`[127.0.0.1]:${this.port} ${publicKey(join(this.#directory, 'host'))}`);
    this.#wrap('ssh', 'own', join(this.#directory, 'known_hosts'));
    this.#wrap('stranger', 'other', join(this.#directory, 'known_hosts'));
    keyFor(this.#directory, 'other');
  }

  /** A program that is ssh with nothing of the user's. */
  #wrap(name: string, key: string, known: string, more: readonly string[] = []): void {
    const configuration = join(this.#directory, `${name}_config`);
    const lines = [
      `IdentityFile ${join(this.#directory, key)}`,
      'IdentitiesOnly yes',
      'IdentityAgent none',
      `UserKnownHostsFile ${known}`,
      'GlobalKnownHostsFile /dev/null',
      ...more,
    ];
    writeFileSync(configuration, `${lines.join('\n')}\n`);
    writeFileSync(join(this.#directory, name), `#!/bin/sh\nexec ssh -F '${configuration}' "$@"\n`, { mode: 0o755 });
  }

  /**
   * Logs in once for many clients: those with the environment that this gives (OpenSSH's ssh_config: ControlMaster). They
   * log in themselves when that connection has ended.
   */
  async share(): Promise<Readonly<Record<string, string>>> {
    const path = join(this.#directory, 'master');
    this.#wrap('shared', 'own', join(this.#directory, 'known_hosts'), [`ControlPath ${path}`]);
    const { QIMG_SSH: program = '' } = this.environment('shared');
    this.#master = spawn(program, ['-M', '-N', '-p', `${this.port}`, '127.0.0.1'], { stdio: 'ignore' });
    while (!existsSync(path)) {
      if (this.#master.exitCode !== null) throw new Error('ssh could not log in');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.environment('shared');
  }

  /** What stands in the client's list of hosts. */
  knows(line: string): void {
    writeFileSync(join(this.#directory, 'known_hosts'), `${line}\n`);
  }

  /** The line of the server in the list of hosts, with its own key or another one. */
  line(key: 'host' | 'other' = 'host'): string {
    return `[127.0.0.1]:${this.port} ${publicKey(join(this.#directory, key))}`;
  }

  /** The environment of a client; `stranger` has a key that the server does not know, `shared` uses what {@link share} made. */
  environment(who: 'ssh' | 'stranger' | 'shared' = 'ssh'): Readonly<Record<string, string>> {
    return { QIMG_SSH: join(this.#directory, who) };
  }

  /** A name for a file of the server. */
  name(path: string): string {
    return `ssh://${this.user}@127.0.0.1:${this.port}${path}`;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#children.size;
  }

  /** Ends all connections at once, and waits until they are gone. */
  async kill(): Promise<void> {
    const gone = [...this.#children].map(
      (child) =>
        new Promise<void>((resolve) => {
          // Some have ended by themselves.
          if (child.exitCode !== null || child.signalCode !== null) return resolve();
          child.once('exit', () => resolve());
          try {
            if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
            resolve();
          }
        }),
    );
    await Promise.all(gone);
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#listener.close(resolve));
    // It may not have noticed yet.
    this.#master?.kill();
    await this.kill();
    await closed;
  }
}
