/** Makes Bun carry the program: has to be the first import of every entry point of the standalone executable. */
import { runOn } from '../node/runtime.ts';
import { bunNative } from './native.ts';

/** Set by the build (scripts/lib/standalone.mjs). */
declare const STANDALONE_TARGET: string;

/** Of another chunk, loaded when it is called; the bundler knows this name. */
declare const require: (path: './crypto.ts') => typeof import('./crypto.ts');

runOn({
  description: `Standalone executable for ${STANDALONE_TARGET}, made with Bun ${process.versions['bun']}`,
  loadNative: bunNative,
  // Embedded beside the program, whatever chunk this is in.
  workerFile: () => new URL('./worker.js', import.meta.url).href,
  exit: (code) => Reflect.apply(Reflect.get(process, 'reallyExit') as (code: number) => void, process, [code]),
  leadingArguments: 1,
  crypto: (own) => require('./crypto.ts').withAllHashes(own),
});
