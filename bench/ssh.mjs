/** The server of SSH that rows use: that of the tests, whose files are those of this machine. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

/** @typedef {import('./types.ts').Program} Program */
/** @typedef {import('./types.ts').Row} Row */
/** @typedef {typeof import('../test/support/sshd.ts')} Support */

const SUPPORT = fileURLToPath(new URL('../test/support/sshd.ts', import.meta.url));

/**
 * The tests' module, which this Node may not read as it is.
 * @returns {Promise<Support>}
 */
async function support(/** @type {string} */ directory) {
  const file = path.join(directory, 'sshd.mjs');
  const bundle = await rolldown({ input: SUPPORT, external: /^node:/, platform: 'node' });
  await bundle.write({ file, format: 'esm' });
  await bundle.close();
  return import(pathToFileURL(file).href);
}

/** A server, and clients that may log in. */
export class SshServer {
  /** @readonly */
  #server;
  /** @readonly */
  #agent;
  /** @readonly */
  #directory;

  /**
   * @param {import('../test/support/sshd.ts').Sshd} server
   * @param {import('node:child_process').ChildProcess} agent Whom the real program has its key from.
   * @param {string} directory
   */
  constructor(server, agent, directory) {
    this.#server = server;
    this.#agent = agent;
    this.#directory = directory;
  }

  /**
   * Starts a server; programs find their keys by this process's environment.
   * @param {string} directory for its keys.
   * @throws {Error} where something is missing.
   */
  static async start(directory) {
    fs.mkdirSync(directory, { recursive: true });
    const { lackOfSshd, Sshd } = await support(directory);
    const lack = lackOfSshd();
    if (lack) throw new Error(lack);
    const socket = path.join(directory, 'agent');
    fs.rmSync(socket, { force: true });
    const server = await Sshd.start(directory);
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    Object.assign(process.env, server.environment(), { SSH_AUTH_SOCK: socket });
    while (!fs.existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 5));
    execFileSync('ssh-add', ['-q', path.join(directory, 'own')]);
    return new SshServer(server, agent, directory);
  }

  /**
   * The row with the addresses of its files, and what stands in for a real program that knows no SSH.
   * @param {Row} row
   * @param {string} real
   * @param {string} cwd
   * @returns {Row}
   */
  row(row, real, cwd) {
    const address = (/** @type {string} */ word) => {
      if (!word.startsWith('ssh:')) return word;
      return `${this.#server.name(path.join(cwd, word.slice(4)))}?host_key_check=no`;
    };
    const argv = row.argv.map(address);
    const { stderr } = spawnSync(real, ['info', address('ssh:nothing')], { encoding: 'utf8' });
    if (!/Unknown protocol|Unable to load module/.test(stderr)) return { ...row, argv };
    const batch = path.join(this.#directory, row.name);
    const [from = '', to = ''] = [...(row.needs ?? []), ...(row.outputs ?? [])];
    fs.writeFileSync(batch, `${row.sftp} ${from} ${to}\n`);
    const { port, user } = this.#server;
    const program = this.#server.environment().QIMG_SSH ?? '';
    const other = ['sftp', '-q', '-S', program, '-P', `${port}`, '-b', batch, `${user}@127.0.0.1:${cwd}`];
    return { ...row, name: `${row.name}, beside sftp`, argv, other };
  }

  /** Ends everything. */
  stop() {
    this.#agent.kill();
    return this.#server.stop();
  }
}
