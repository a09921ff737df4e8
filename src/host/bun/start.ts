/** Makes Bun carry the program: has to be the first import of every entry point of the standalone executable. */
import { runOn } from '../node/runtime.ts';
import { withAllHashes } from './crypto.ts';
import { bunNative } from './native.ts';

/** Set by the build (scripts/lib/standalone.mjs). */
declare const STANDALONE_TARGET: string;

// As the launcher does for Node: certificates are for connections only.
const certificates = process.env['NODE_EXTRA_CA_CERTS'];
if (certificates !== undefined) process.env['QIMG_EXTRA_CA_CERTS'] = certificates;

runOn({
  description: `Standalone executable for ${STANDALONE_TARGET}, made with Bun ${process.versions['bun']}`,
  loadNative: bunNative,
  // Embedded beside the program, whatever chunk this is in.
  workerFile: () => new URL('./worker.js', import.meta.url),
  exit: (code) => Reflect.apply(Reflect.get(process, 'reallyExit') as (code: number) => void, process, [code]),
  leadingArguments: 1,
  crypto: withAllHashes,
});
