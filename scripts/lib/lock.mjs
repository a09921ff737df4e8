/** A lock between processes, for work on `node_modules` and `dist`: a file that names its owner. */
import { randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const HEARTBEAT_MS = 2_000;
const STALE_MS = 60_000;
const POLL_MS = 40;

/** Where a process id means something: ids of another machine or container say nothing about who is alive. */
function processSpace() {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** What has ended counts as dead though nobody has asked for its exit code: in containers that may stay so for ever. */
function isAlive(/** @type {number} */ pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code !== 'ESRCH';
  }
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.startsWith('Z');
  } catch {
    return true;
  }
}

function readOrUndefined(/** @type {string} */ path) {
  try {
    return { text: readFileSync(path, 'utf8'), touched: statSync(path).mtimeMs };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isStale(/** @type {{ text: string, touched: number }} */ { text, touched }) {
  if (Math.abs(Date.now() - touched) > STALE_MS) return true;
  try {
    const owner = JSON.parse(text);
    return owner.space === processSpace() && !isAlive(owner.pid);
  } catch {
    return false; // its owner has created it, but not yet written to it
  }
}

/** Moves a dead owner's lock out of the way; gives it back when somebody else was quicker and it is a living one. */
function steal(/** @type {string} */ path, /** @type {string} */ judged) {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== judged) linkSync(aside, path);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Runs `body` while no other process holds the lock at `path`. The lock of a process that died is taken over.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} body
 */
export async function withLock(path, body) {
  const mine = JSON.stringify({ pid: process.pid, space: processSpace(), id: randomUUID() });
  mkdirSync(dirname(path), { recursive: true });
  for (;;) {
    try {
      writeFileSync(path, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const other = readOrUndefined(path);
    if (other && isStale(other)) steal(path, other.text);
    else if (other) await sleep(POLL_MS);
  }
  const heartbeat = setInterval(() => {
    if (readOrUndefined(path)?.text === mine) utimesSync(path, new Date(), new Date());
  }, HEARTBEAT_MS);
  try {
    return await body();
  } finally {
    clearInterval(heartbeat);
    if (readOrUndefined(path)?.text === mine) rmSync(path, { force: true });
  }
}
