/** Bundles the program and its worker: node bundleEntries.mjs ROOT DIRECTORY */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

/** Packages that stay outside: binaries of one platform, and codecs that few images or only old versions of Node need. */
const EXTERNAL = [/^@koromix\//, /^@bokuweb\/zstd-wasm/, /^xz-decompress$/];

/** Without white space and comments there is half as much to read at every start; names stay for those who debug. */
const SMALLER = { compress: false, mangle: false, codegen: { removeWhitespace: true } };

/** Bundles one entry, with everything that it loads later, into one file. */
async function bundleEntry(
  /** @type {string} */ root,
  /** @type {string} */ entry,
  /** @type {string} */ file,
  /** @type {'cjs' | 'esm'} */ format,
) {
  const bundle = await rolldown({
    input: join(root, entry),
    cwd: root,
    platform: 'node',
    external: EXTERNAL,
    onLog(level, log, report) {
      if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
      report(level, log);
    },
  });
  try {
    await bundle.write({ file, format, codeSplitting: false, dynamicImportInCjs: false, minify: SMALLER });
  } finally {
    await bundle.close();
  }
}

const [root, directory] = process.argv.slice(2);
const worker = 'src/host/node/worker.ts';
try {
  await bundleEntry(root, 'src/cli/bin.ts', join(directory, 'program.cjs'), 'cjs');
  if (existsSync(join(root, worker))) await bundleEntry(root, worker, join(directory, 'worker.js'), 'esm');
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
