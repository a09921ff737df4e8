/** Installs what package-lock.json asks for, when it is not there. Uses Node's own modules only. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
}

/**
 * True if `node_modules` holds what `package-lock.json` asks for. npm writes `node_modules/.package-lock.json` at the
 * end of an installation, so that a broken off one is noticed. Contents are compared, not times: a checkout
 * that only touches the lock file must not throw away `node_modules` under programs that use it.
 */
export function isInstalled(root) {
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const present = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = present[path];
    if (!found) return entry.optional === true;
    return found.version === entry.version && existsSync(join(root, path, 'package.json'));
  });
}

/** The gist of npm's complaint, in one line. */
function gist(output) {
  const lines = output.split('\n').flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1]?.trim() ?? []);
  const telling = lines.filter((line) => !/^(code|errno|syscall|network This|A complete log)/i.test(line));
  return telling[0] ?? lines[0] ?? output.trim().split('\n').at(-1) ?? '';
}

/** Runs `npm ci` quietly, without install scripts. Throws an error of one line when it fails. */
export async function install(root) {
  // --include: NODE_ENV=production or a user's npm configuration must not leave out what the build needs.
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--include=dev', '--include=optional'];
  const child = spawn('npm', ['ci', ...options], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const reason = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.code === 'ENOENT' ? 'npm was not found' : error.message));
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : gist(output) || `npm ended with ${signal ?? code}`),
    );
  });
  if (reason !== undefined) {
    throw new Error(`cannot install the dependencies: ${reason} (run 'npm ci' in ${root} to see more)`);
  }
}
