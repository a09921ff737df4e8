/** Directories for images: a temporary one, and file systems in files that are mounted there. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { inputs } from './inputs.mjs';

/**
 * A directory with the images in it.
 * @typedef {object} Place
 * @property {string} cwd
 * @property {(name: string) => void} need Makes an input there unless that was done.
 */

/** Where reflinks are measured there need not be much. */
const MOUNTED_MIB = 300;
/** The log of XFS alone takes some. */
const FILE_SYSTEM_BYTES = 3 * 2 ** 30;

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

  /**
   * @param {object} where
   * @param {string} where.tmp
   * @param {string} where.real Directory of the real programs.
   * @param {number} where.size MiB of the test disk.
   */
  constructor({ tmp, real, size }) {
    this.#root = fs.mkdtempSync(path.join(tmp, 'qimg-bench-'));
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
    fs.mkdirSync(cwd);
    if (kind) this.#mount(kind, cwd);
    const size = kind ? Math.min(this.#size, MOUNTED_MIB) : this.#size;
    const place = { cwd, need: inputs({ cwd, real: this.#real, size }) };
    this.#known.set(kind ?? '', place);
    return place;
  }

  /** Removes everything. */
  close() {
    for (const kind of this.#known.keys()) {
      if (kind) spawnSync('umount', [path.join(this.#root, kind)], { stdio: 'inherit' });
    }
    fs.rmSync(this.#root, { recursive: true, force: true });
  }

  #mount(/** @type {string} */ kind, /** @type {string} */ point) {
    const file = path.join(this.#root, `${kind}.img`);
    fs.closeSync(fs.openSync(file, 'w'));
    fs.truncateSync(file, FILE_SYSTEM_BYTES);
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
