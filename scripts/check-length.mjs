/** Fails for source files longer than a reader holds in the head. Usage: node scripts/check-length.mjs */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesIn } from './lib/sources.mjs';

const MOST_LINES = 450;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const path of filesIn(root, 'src', '.ts')) {
  const lines = readFileSync(join(root, path), 'utf8').split('\n').length - 1;
  if (lines <= MOST_LINES) continue;
  console.error(`${path}: ${lines} lines, more than ${MOST_LINES}; split it by structure, mapping, allocation, check`);
  process.exitCode = 1;
}
