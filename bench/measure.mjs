/** One timed run of a command. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Measured
 * @property {number} wall Milliseconds.
 * @property {number | undefined} cpu Milliseconds of processor time, user and system, by all threads.
 * @property {number | undefined} memory Most memory, MiB.
 * @property {number} status Exit code.
 * @property {string} stdout
 * @property {string} stderr
 */

const USAGE = fileURLToPath(new URL('usage.cjs', import.meta.url));
/**
 * What a process used can be asked only by its parent, and as much memory as its parent had when it was made counts as its own.
 * So a shell, which is small, runs it when it is told to, says when it has ended, and becomes a Node that asks what the shell's
 * children used.
 */
const SCRIPT =
  'node=$1 usage=$2; shift 2; echo ready >&3; read -r go; "$@" </dev/null; echo "end $?" >&3; exec "$node" "$usage" >&3';

/** What a command printed goes to files: reading it meanwhile would take time from it. */
function openTexts(/** @type {string} */ cwd) {
  return ['stdout', 'stderr'].map((name) => {
    const file = path.join(cwd, name);
    const fd = fs.openSync(file, 'w');
    return {
      fd,
      take() {
        const text = fs.readFileSync(file, 'utf8');
        fs.closeSync(fd);
        fs.rmSync(file);
        return text;
      },
    };
  });
}

/**
 * Runs a command once.
 * @param {readonly string[]} command
 * @param {string} cwd
 * @returns {Promise<Measured>}
 */
export function measure(command, cwd) {
  const [stdout, stderr] = openTexts(cwd);
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', process.execPath, USAGE, ...command], {
    cwd,
    stdio: ['pipe', stdout.fd, stderr.fd, 'pipe'],
  });
  const go = /** @type {import('node:stream').Writable} */ (child.stdin);
  const answers = /** @type {import('node:stream').Readable} */ (child.stdio[3]);
  let begin = 0;
  let wall = 0;
  let said = '';
  answers.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    const now = performance.now();
    said += text;
    if (wall === 0 && said.includes('end ')) wall = now - begin;
    if (begin > 0 || !said.includes('ready')) return;
    begin = performance.now();
    go.write('go\n');
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const texts = { stdout: stdout.take(), stderr: stderr.take() };
      const [, status] = /end (\d+)/.exec(said) ?? [];
      if (status === undefined) return reject(new Error(`${command.join(' ')} did not come to an end`));
      const [, cpu, memory] = /used (\d+) (\d+)/.exec(said) ?? [];
      resolve({
        wall,
        cpu: cpu === undefined ? undefined : Number(cpu) / 1000,
        memory: memory === undefined ? undefined : Number(memory) / 1024,
        status: Number(status),
        ...texts,
      });
    });
  });
}
