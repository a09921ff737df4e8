/** Directories for images: a temporary one, and file systems in files that are mounted there. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { inputs } from './inputs.mjs';
import { SshServer } from './ssh.mjs';

/**
 * A directory with the images in it.
 * @typedef {object} Place
 * @property {string} cwd
 * @property {(name: string) => void} need Makes an input there unless that was done.
 */

/** A mounted file system, as a multiple of the test disk; and the least that XFS takes besides, with its log. */
const DISKS = 5;
const OVERHEAD_MIB = 1024;

/** All places of one run of the bench. */
export class Places {
  /**
   * @readonly
   * @type {Map<string, Place>}
   */
  #known = new Map();
  /** @readonly */
  #root;
  /** @readonly */
  #real;
  /** @readonly */
  #size;
  /** @readonly */
  #keep;
  /** @type {Promise<SshServer> | undefined} */
  #ssh;

  /**
   * @param {object} where
   * @param {string} where.tmp
   * @param {string} where.real Directory of the real programs.
   * @param {number} where.size MiB of the test disk.
   * @param {string} [where.keep] Directory whose inputs stay for the next run.
   */
  constructor({ tmp, real, size, keep }) {
    this.#keep = keep !== undefined;
    if (keep === undefined) this.#root = fs.mkdtempSync(path.join(tmp, 'qimg-bench-'));
    else fs.mkdirSync((this.#root = path.join(path.resolve(keep), `${size}M`)), { recursive: true });
    this.#real = real;
    this.#size = size;
  }

  /** The temporary directory, in which there may be large files. */
  get root() {
    return this.#root;
  }

  /**
   * The place on a file system, which is mounted if it is not the directory's own.
   * @param {'xfs' | 'btrfs'} [kind]
   * @returns {Place}
   * @throws {Error} Where it cannot be mounted: that takes root, and the programs of the file system.
   */
  on(kind) {
    const known = this.#known.get(kind ?? '');
    if (known) return known;
    const cwd = path.join(this.#root, kind ?? 'plain');
    fs.mkdirSync(cwd, { recursive: true });
    if (kind) this.#mount(kind, cwd);
    const place = { cwd, need: inputs({ cwd, real: this.#real, size: this.#size }) };
    this.#known.set(kind ?? '', place);
    return place;
  }

  /** A server of SSH for the files of all places. */
  ssh() {
    this.#ssh ??= SshServer.start(path.join(this.#root, 'ssh'));
    return this.#ssh;
  }

  /** Removes everything that is not to be kept. */
  async close() {
    await this.#ssh?.then(
      (server) => server.stop(),
      () => undefined,
    );
    for (const kind of this.#known.keys()) {
      if (!kind) continue;
      spawnSync('umount', [path.join(this.#root, kind)], { stdio: 'inherit' });
      fs.rmSync(path.join(this.#root, `${kind}.img`));
    }
    if (!this.#keep) fs.rmSync(this.#root, { recursive: true, force: true });
  }

  #mount(/** @type {string} */ kind, /** @type {string} */ point) {
    const file = path.join(this.#root, `${kind}.img`);
    fs.closeSync(fs.openSync(file, 'w'));
    fs.truncateSync(file, (this.#size * DISKS + OVERHEAD_MIB) * 2 ** 20);
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
    for (const command of [
      [`mkfs.${kind}`, '-q', file],
      ['mount', '-o', 'loop', file, point],
    ]) {
      try {
        execFileSync(command[0], command.slice(1), { env, stdio: ['ignore', 'ignore', 'pipe'] });
      } catch (error) {
        throw new Error(`${kind} cannot be mounted here: ${command[0]}: ${error.stderr || error.message}`.trim(), {
          cause: error,
        });
      }
    }
  }
}
