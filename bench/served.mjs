/** Servers of images, one for each run: `qimg serve`, or what the real programs have for that. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** @typedef {import('./types.ts').Program} Program */
/** @typedef {NonNullable<import('./types.ts').Row['served']>} Served */

const SOCKET = 'bench.sock';

/** What clients call the image that is served. */
export function uriIn(/** @type {string} */ cwd) {
  return `nbd+unix:///?socket=${path.join(cwd, SOCKET)}`;
}

/** The command of a server. */
function commandOf(
  /** @type {Program} */ { side, path: program },
  /** @type {Served} */ served,
  /** @type {string} */ cwd,
) {
  const { image, format, writable = false } = served;
  const own = ['-t', '-f', format, '-k', path.join(cwd, SOCKET), image];
  if (side !== 'real') return [program, 'serve', ...(writable ? ['-w'] : []), ...own];
  return [
    path.join(path.dirname(program), 'qemu-nbd'),
    ...(writable ? ['--discard=unmap'] : ['-r']),
    '-e',
    '8',
    ...own,
  ];
}

/**
 * Runs `body` while a program serves an image.
 * @template T
 * @param {Program} program
 * @param {Served} served
 * @param {string} cwd
 * @param {() => Promise<T>} body
 * @returns {Promise<T>}
 */
export async function whileServed(program, served, cwd, body) {
  const socket = path.join(cwd, SOCKET);
  fs.rmSync(socket, { force: true });
  const [command = '', ...argv] = commandOf(program, served, cwd);
  const server = spawn(command, argv, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((resolve) => server.once('close', resolve));
  try {
    while (!fs.existsSync(socket) && server.exitCode === null) await setTimeout(10);
    return await body();
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}
