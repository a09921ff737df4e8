/** Bundles the program and its worker, and makes the scripts that start it smaller: node bundleEntries.mjs ROOT DIRECTORY */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { minifySync } from 'rolldown/utils';
import { joinModules } from './joinModules.mjs';
import { noticesOf } from './notices.mjs';

/** Packages that stay outside: binaries of one platform, and codecs that few images or only old versions of Node need. */
const EXTERNAL = [/^@koromix\//, /^@bokuweb\/zstd-wasm/, /^xz-decompress$/];

/** What there is less of has not to be read at every start. Names stay for who looks into the program (CONTRIBUTING.md). */
const SMALLER = {
  compress: false,
  mangle: process.env.QIMG_KEEP_NAMES === undefined,
  codegen: { removeWhitespace: true },
};

function smaller(/** @type {string} */ name, /** @type {string} */ text) {
  const { code, errors } = minifySync(name, text, SMALLER);
  if (errors.length > 0) throw new Error(`${name}: ${errors[0].message}`);
  return code;
}

/** A bundler of one entry and of everything that it loads later. */
function bundlerOf(/** @type {string} */ root, /** @type {string} */ entry) {
  return rolldown({
    input: join(root, entry),
    cwd: root,
    platform: 'node',
    external: EXTERNAL,
    onLog(level, log, report) {
      if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
      report(level, log);
    },
  });
}

/**
 * The paths of the modules in what a bundler made.
 * @param {readonly (import('rolldown').OutputChunk | import('rolldown').OutputAsset)[]} output
 */
function modulesOf(output) {
  return output.flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
}

/** Bundles the program into one script, whose modules run when they are first used. Gives the paths of what is in it. */
async function bundleProgram(/** @type {string} */ root, /** @type {string} */ file) {
  const bundle = await bundlerOf(root, 'src/cli/bin.ts');
  try {
    const { output } = await bundle.generate({
      format: 'cjs',
      preserveModules: true,
      dynamicImportInCjs: false,
      entryFileNames: '[name].cjs',
      minify: false,
    });
    const modules = output.flatMap((part) => (part.type === 'chunk' ? [part] : []));
    const entryFirst = modules.sort((a, b) => Number(b.isEntry) - Number(a.isEntry));
    writeFileSync(file, joinModules(entryFirst, smaller));
    return modulesOf(output);
  } finally {
    await bundle.close();
  }
}

/** Bundles the worker into one module, all of which runs when a thread starts. Gives the paths of what is in it. */
async function bundleWorker(/** @type {string} */ root, /** @type {string} */ entry, /** @type {string} */ file) {
  const bundle = await bundlerOf(root, entry);
  try {
    const minify = { ...SMALLER, mangle: false };
    const { output } = await bundle.write({ file, format: 'esm', codeSplitting: false, minify });
    return modulesOf(output);
  } finally {
    await bundle.close();
  }
}

const [root, directory] = process.argv.slice(2);
const worker = 'src/host/node/worker.ts';
try {
  const modules = await bundleProgram(root, join(directory, 'program.cjs'));
  for (const name of ['start.cjs', 'keepCode.cjs']) {
    const text = readFileSync(join(root, 'scripts/lib', name), 'utf8');
    writeFileSync(join(directory, name), smaller(name, text));
  }
  if (existsSync(join(root, worker))) modules.push(...(await bundleWorker(root, worker, join(directory, 'worker.js'))));
  writeFileSync(join(directory, 'notices.txt'), noticesOf(root, modules));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
