/** What figures depend on: processor, system, versions. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** @typedef {import('./types.ts').Program} Program */

/** The file system below a directory, as the kernel's list of mounts names it. */
function fileSystemOf(/** @type {string} */ directory) {
  try {
    const mounts = fs.readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const below = mounts
      .map((line) => line.split(' '))
      .filter(([, point]) => point && !path.relative(point, fs.realpathSync(directory)).startsWith('..'));
    return below.toSorted(([, a], [, b]) => b.length - a.length)[0]?.[2] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

function firstLine(/** @type {string} */ program) {
  return execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0];
}

/**
 * Describes this machine and the programs.
 * @param {readonly Program[]} programs
 * @param {string} directory Where images are.
 * @returns {import('./types.ts').Machine}
 */
export function describeMachine(programs, directory) {
  const version = (/** @type {string} */ side) => {
    const program = programs.find((one) => one.side === side);
    return program && firstLine(program.path);
  };
  const standalone = version('standalone');
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: `${os.type()} ${os.release()}`,
    fileSystem: fileSystemOf(directory),
    node: process.version,
    qimg: version('node') ?? standalone ?? '',
    ...(standalone === undefined ? {} : { standalone }),
    real: version('real') ?? '',
  };
}
