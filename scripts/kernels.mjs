/** Makes `src/base/kernelBytes.ts` of `src/base/kernels.wat`: node scripts/kernels.mjs [--print] */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const base = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/base');
const tools = await wabt();
const text = readFileSync(join(base, 'kernels.wat'), 'utf8');
const { buffer } = tools.parseWat('kernels.wat', text, { simd: true, threads: true }).toBinary({});
const made = `/** Made of \`kernels.wat\` by \`scripts/kernels.mjs\`; not to be edited. */

/** The WebAssembly module in base64. */
export const KERNEL_BYTES =
  '${Buffer.from(buffer).toString('base64')}';
`;
if (process.argv[2] === '--print') process.stdout.write(made);
else writeFileSync(join(base, 'kernelBytes.ts'), made);
