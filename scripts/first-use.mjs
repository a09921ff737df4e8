/** Called by the launcher when the program is not built, or older than its sources: installs and builds it. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { buildProgram, isFresh } from './lib/bundle.mjs';
import { install, isInstalled } from './lib/install.mjs';
import { withLock } from './lib/lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lacksProgram = !existsSync(join(root, 'dist/bin/qimg.cjs'));
const lacksPackages = !isInstalled(root);

// A rebuild is quick and says nothing: whoever reads stderr must see the program's own messages only.
if (lacksProgram) console.error(`qimg: first use: ${lacksPackages ? 'installing and building' : 'building'} ...`);
else if (lacksPackages) console.error('qimg: dependencies have changed: installing and building ...');

try {
  await withLock(join(root, '.cache/lock'), async () => {
    if (!isInstalled(root)) await install(root);
    if (!isFresh(root)) await buildProgram(root);
  });
} catch (error) {
  const text = stripVTControlCharacters(error.message)
    .split(/\s*\n\s*/)
    .join(' ');
  console.error(`qimg: ${text.startsWith('cannot install') ? text : `cannot build: ${text.slice(0, 400)}`}`);
  process.exit(1);
}
