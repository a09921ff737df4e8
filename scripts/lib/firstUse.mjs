/** Installs and builds the program, and says so where it takes time. */
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { buildProgram, isFresh } from './bundle.mjs';
import { install } from './install.mjs';
import { withLock } from './lock.mjs';
import { isInstalled } from './packages.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const lacksProgram = !existsSync(join(root, 'dist/bin/qimg.cjs'));
const lacksPackages = !isInstalled(root, 'program');

let doing = 'waiting for another qimg, which installs or builds here ...';

/** When the next line says what takes so long, since the start. A rebuild is expected to be silent. */
let next = lacksProgram || lacksPackages ? 5 : 30;
const started = performance.now();
setInterval(() => {
  const seconds = Math.round((performance.now() - started) / 1000);
  if (seconds < next) return;
  console.error(`qimg: still ${doing.replace(/^\w+/, `$& (${seconds} s)`)}`);
  next = seconds * 2;
}, 500).unref();

/** What to say about an error, in one line. */
function lineOf(/** @type {Error & { code?: string }} */ error) {
  const text = stripVTControlCharacters(error.message)
    .split(/\s*\n\s*/)
    .join(' ');
  if (text.startsWith('cannot install')) return text;
  if (['EROFS', 'EACCES', 'EPERM'].includes(error.code ?? '')) {
    return `cannot build: ${root} is not writable for this user (${error.code}); start qimg once as its owner, or use a copy`;
  }
  return `cannot build: ${text.slice(0, 400)}`;
}

function fail(/** @type {Error & { code?: string }} */ error) {
  console.error(`qimg: ${lineOf(error)}`);
  process.exit(1);
}

try {
  const cache = join(root, '.cache');
  accessSync(existsSync(cache) ? cache : root, constants.W_OK);
} catch (error) {
  fail(error);
}

// A rebuild is quick and says nothing: whoever reads stderr must see the program's own messages only.
if (lacksProgram) console.error(`qimg: first use: ${lacksPackages ? 'installing and building' : 'building'} ...`);
else if (lacksPackages) console.error('qimg: dependencies have changed: installing and building ...');

const begun = Date.now();
try {
  await withLock(join(root, '.cache/lock'), async () => {
    doing = 'installing: ';
    await install(root, 'program', { begun, report: (what) => (doing = `installing: ${what}`) });
    doing = 'building ...';
    if (!isFresh(root)) await buildProgram(root);
  });
} catch (error) {
  fail(error);
}
