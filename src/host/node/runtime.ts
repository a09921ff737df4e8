/**
 * What carries the program, where that is not Node: another runtime with Node's modules gives its own answers here before
 * anything else asks. Nothing else in this folder knows that there are others.
 */
import type { CryptoPort } from '../../crypto/crypto.ts';
import type { NativeModule } from './native.ts';

/** Answers of another runtime. */
export interface Runtime {
  /** What was built, for `--version`. */
  readonly description: string;
  /** What calls functions of C libraries; undefined where nothing does. */
  readonly loadNative: () => NativeModule | undefined;
  /** The file of the worker threads; undefined if there are none. */
  readonly workerFile: () => string | URL | undefined;
  /** Ends the process without exit handlers. */
  readonly exit: (code: number) => void;
  /** How many arguments of the process stand in front of the program's own. */
  readonly leadingArguments: number;
  /** The crypto port over the one that `node:crypto` gives. */
  readonly crypto: (own: CryptoPort) => CryptoPort;
}

let other: Runtime | undefined;

/** Has another runtime than Node answer from now on, in this thread. */
export function runOn(runtime: Runtime): void {
  other = runtime;
}

/** The runtime that is not Node; undefined on Node. */
export function otherRuntime(): Runtime | undefined {
  return other;
}
