/** Fails for source files longer than a reader holds in the head. Usage: node scripts/check-length.mjs [directory] */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesIn } from './lib/sources.mjs';

const MOST_LINES = 400;
/** Tests may be lists of cases, as long as there are cases. */
const FOLDERS = { src: '.ts', scripts: '.mjs', bench: '.mjs' };

const root = process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url)));
for (const path of Object.entries(FOLDERS).flatMap(([folder, ending]) => filesIn(root, folder, ending))) {
  const lines = readFileSync(join(root, path), 'utf8').split('\n').length - 1;
  if (lines <= MOST_LINES) continue;
  console.error(`${path}: ${lines} lines, more than ${MOST_LINES}; split it by structure, mapping, allocation, check`);
  process.exitCode = 1;
}
