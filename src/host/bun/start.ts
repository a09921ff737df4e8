/** Makes Bun carry the program: has to be the first import of every entry point of the standalone executable. */
import { runOn } from '../node/runtime.ts';
import { bunNative } from './native.ts';

runOn({
  loadNative: bunNative,
  // Embedded beside the program, whatever chunk this is in.
  workerFile: () => new URL('./worker.js', import.meta.url).href,
  exit: (code) => Reflect.apply(Reflect.get(process, 'reallyExit') as (code: number) => void, process, [code]),
  leadingArguments: 1,
});
