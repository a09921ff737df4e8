/**
 * Makes the modules of WebAssembly of their texts: `FOLDER/NAMEBytes.ts` of `FOLDER/NAME.wat` (or `NAMEs.wat`).
 *
 *   node scripts/kernels.mjs [--print NAME]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const TEXTS = ['src/base/kernels.wat', 'src/codec/deflate.wat'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tools = await wabt();

/**
 * `kernel` for `src/base/kernels.wat`.
 * @param {string} text
 */
function stem(text) {
  return basename(text, '.wat').replace(/s$/, '');
}

/** @param {string} text path of it. */
function moduleOf(text) {
  const source = readFileSync(join(root, text), 'utf8');
  const { buffer } = tools.parseWat(text, source, { simd: true, threads: true }).toBinary({});
  return `/** Made of \`${basename(text)}\` by \`scripts/kernels.mjs\`; not to be edited. */

/** The WebAssembly module in base64. */
export const ${stem(text).toUpperCase()}_BYTES =
  '${Buffer.from(buffer).toString('base64')}';
`;
}

const [mode, only] = process.argv.slice(2);
for (const text of TEXTS) {
  if (mode === '--print' && stem(text) === only) process.stdout.write(moduleOf(text));
  else if (mode !== '--print') writeFileSync(join(root, dirname(text), `${stem(text)}Bytes.ts`), moduleOf(text));
}
