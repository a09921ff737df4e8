/** Runs npm: without what its caller's environment means for other packages, and only as long as something happens. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * What npm has done until now: bytes printed, installed and read, and time computed in 1/100 s.
 * @typedef {{ readonly printed: number, readonly bytes: number, readonly read: number, readonly ticks: number }} Look
 */

const POLL_MS = 1_000;

/** A registry that has said something may be silent for so many polls, one that has not for so many since the start. */
const PATIENCE = 12;
const FIRST_ANSWER = 12;

/** npm that has done anything within so many polls may just be slow to start. */
const STARTING = 5;

/** Settings of npm that say how the network is reached. All others of the environment are for the package of the caller. */
const NETWORK =
  /^npm_config_(registry|.*proxy|ca|cafile|cert|certfile|key|keyfile|strict_ssl|userconfig|globalconfig|cache|local_address|maxsockets|_.*|\/\/.*|@.*)$/i;

/** Variables of Node that say which certificates are trusted. */
const TRUST = /^NODE_(EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED|USE_SYSTEM_CA|USE_ENV_PROXY)$/;

const FLAGS = [
  '--ignore-scripts',
  '--include=dev',
  '--include=optional',
  '--no-global',
  '--package-lock',
  '--no-dry-run',
  '--no-engine-strict',
  '--install-strategy=hoisted',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--no-progress',
  '--no-json',
  // Every answer of the registry is a line, and so a sign of life.
  '--loglevel=http',
  // npm would wait for 10 and 60 seconds between its attempts.
  '--fetch-retries=2',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=3000',
];

const NETWORK_ERROR =
  /E(CONN|NOTFOUND|AI_AGAIN|TIMEDOUT|NETUNREACH|HOSTUNREACH|PIPE|PROTO)|certificate|socket|network/i;

const WAY_OUT =
  "is there a network? if it needs a proxy or has a registry of its own: 'npm config set proxy URL', 'npm config set registry URL'";

function writable(/** @type {string} */ path) {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The caller's environment without what changes how or where npm installs. `scratch` stands in for a missing home. */
function environment(/** @type {string} */ scratch) {
  /** @type {NodeJS.ProcessEnv} */
  const env = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (/^(npm_|NODE_|INIT_CWD$)/i.test(name) && !NETWORK.test(name) && !TRUST.test(name)) continue;
    env[name] = value;
  }
  // Of these the launcher hands on a copy.
  const options = process.env.QIMG_CALLER_NODE_OPTIONS ?? process.env.NODE_OPTIONS ?? '';
  const trust = options.match(/--use-(system|openssl|bundled)-ca\b/g);
  if (trust) env.NODE_OPTIONS = trust.join(' ');
  // The launcher keeps them from programs that make no connections.
  env.NODE_EXTRA_CA_CERTS ??= process.env.QIMG_EXTRA_CA_CERTS;
  if (env.NODE_EXTRA_CA_CERTS === undefined) delete env.NODE_EXTRA_CA_CERTS;
  try {
    const cache = join(homedir(), '.npm');
    if (!writable(existsSync(cache) ? cache : homedir())) env.npm_config_cache ??= join(scratch, 'npm-cache');
  } catch {
    env.HOME = scratch; // no variable, and no such user
  }
  return env;
}

/** Bytes in the files below a directory. */
function bytesBelow(/** @type {string} */ directory) {
  let sum = 0;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) sum += bytesBelow(path);
      else sum += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    }
  } catch {
    // npm moves directories while it works.
  }
  return sum;
}

function procFile(/** @type {number} */ pid, /** @type {string} */ name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/**
 * A process and its children: npm may be started by a script. Without /proc only the process.
 * @type {(pid: number) => number[]}
 */
function family(pid) {
  const children = procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

/** Bytes that the processes have read, connections included, and the time that they have computed, in 1/100 s. */
function activity(/** @type {readonly number[]} */ pids) {
  let read = 0;
  let ticks = 0;
  for (const pid of pids) {
    read += Number(/^rchar: (\d+)/m.exec(procFile(pid, 'io'))?.[1] ?? 0);
    const fields = procFile(pid, 'stat').split(') ').at(-1)?.split(' ') ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return { read, ticks };
}

/** Whether more happened between two looks than in a process that waits: timers, and lines of a resolver's files. */
function isAlive(/** @type {Look} */ before, /** @type {Look} */ now) {
  return (
    now.printed > before.printed ||
    now.bytes > before.bytes ||
    now.read - before.read >= 1024 ||
    now.ticks - before.ticks >= 20
  );
}

/** The gist of npm's complaint, in one line. */
function gist(/** @type {string} */ output) {
  const text = stripVTControlCharacters(output);
  const lines = text.split('\n').flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1]?.trim() ?? []);
  const telling = lines.filter((line) => !/^(code|errno|syscall|network This|A complete log)/i.test(line));
  return telling[0] ?? lines[0] ?? text.trim().split('\n').at(-1) ?? '';
}

function killAll(/** @type {readonly number[]} */ pids) {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/** Looks at npm once a second: tells `report` what it waits for, and ends it when nothing comes any more. */
function watch(
  /** @type {import('node:child_process').ChildProcess} */ child,
  /** @type {string} */ directory,
  /** @type {() => number} */ said,
  /** @type {(what: string) => void} */ report,
) {
  let before = { printed: 0, bytes: 0, read: 0, ticks: 0 };
  let polls = 0;
  let silent = 0;
  const watching = { gaveUp: false, timer: setInterval(look, POLL_MS) };
  function look() {
    const pids = child.pid === undefined ? [] : family(child.pid);
    const now = { printed: said(), bytes: bytesBelow(join(directory, 'node_modules')), ...activity(pids) };
    polls += 1;
    silent = isAlive(before, now) ? 0 : silent + 1;
    if (silent === 0) before = now;
    const answered = now.printed > 0 || now.bytes > 0;
    watching.gaveUp = answered ? silent >= PATIENCE : polls >= FIRST_ANSWER && silent >= STARTING;
    if (watching.gaveUp) killAll(pids);
    const waits = now.bytes === 0 || silent > 2;
    report(waits ? 'waiting for the npm registry ...' : `${Math.ceil(now.bytes / 1e6)} MB so far ...`);
  }
  return watching;
}

/**
 * Runs `npm ci` in `directory`, and calls `report` once a second with what it waits for.
 * @throws Error of one line, with the way out, when it fails or the registry stops answering.
 */
export async function npmCi(/** @type {string} */ directory, /** @type {(what: string) => void} */ report) {
  const child = spawn('npm', ['ci', ...FLAGS], {
    cwd: directory,
    env: environment(directory),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (/** @type {string | Buffer} */ chunk) => (output += chunk));
  const watching = watch(child, directory, () => output.length, report);
  const reason = await new Promise((resolve) => {
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      resolve(error.code === 'ENOENT' ? 'npm, which comes with Node.js, was not found in PATH' : error.message),
    );
    child.on('close', (/** @type {number} */ code, /** @type {NodeJS.Signals} */ signal) =>
      resolve(code === 0 ? '' : gist(output) || `npm ended with ${signal ?? code}`),
    );
  });
  clearInterval(watching.timer);
  if (watching.gaveUp) throw new Error(`the npm registry does not answer (${WAY_OUT})`);
  if (NETWORK_ERROR.test(reason)) throw new Error(`${reason} (${WAY_OUT})`);
  if (reason !== '') throw new Error(reason);
}
