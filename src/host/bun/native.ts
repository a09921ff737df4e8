/**
 * Calls of C libraries by `bun:ffi`, which is part of Bun: nothing has to be unpacked, and it is loaded in a fraction of a
 * millisecond. It knows no calls on other threads and no `errno`; both are made up for here.
 */
import type { NativeArgument, NativeFunction, NativeLibrary, NativeModule } from '../node/native.ts';
import { parsePrototype, type Signature } from './prototype.ts';

type Call = (...parameters: NativeArgument[]) => number | bigint;

/** What is used of `bun:ffi`. */
interface BunFfi {
  dlopen(
    library: string,
    functions: Readonly<Record<string, Pick<Signature, 'args' | 'returns'>>>,
  ): { readonly symbols: Readonly<Record<string, Call>> };
  readonly read: { i32(pointer: number, offset: number): number };
  ptr(bytes: Uint8Array): number;
}

/** Loaded when it is needed: what only prints does without. */
declare const require: (module: 'bun:ffi') => BunFfi;

/** Where the C library is, and how it calls the function that tells where `errno` of a thread is. */
interface CLibrary {
  readonly files: readonly string[];
  readonly errno: string;
}

const C_LIBRARIES: Readonly<Partial<Record<NodeJS.Platform, CLibrary>>> = {
  // glibc (before 2.34 in two parts), and musl.
  linux: {
    files: ['libc.so.6', 'libdl.so.2', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`],
    errno: '__errno_location',
  },
  darwin: { files: ['/usr/lib/libSystem.B.dylib'], errno: '__error' },
};

function bind(ffi: BunFfi, files: readonly string[], prototype: string): Call {
  const { name, args, returns } = parsePrototype(prototype);
  let failure: unknown;
  for (const file of files) {
    try {
      return ffi.dlopen(file, { [name]: { args, returns } }).symbols[name] as Call;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** The function, which does its work on this thread in any case: later, after signals and timers had their turn. */
function withLater(call: Call): NativeFunction {
  const later = (...all: [...NativeArgument[], (error: unknown, result: number | bigint) => void]): void => {
    const parameters = all.slice(0, -1) as NativeArgument[];
    const done = all.at(-1) as (error: unknown, result: number | bigint) => void;
    setImmediate(() => done(undefined, call(...parameters)));
  };
  return Object.assign((...parameters: NativeArgument[]) => call(...parameters), { async: later });
}

/** `bun:ffi` in the words of koffi; undefined where it cannot work: without compilers, or on an unknown system. */
export function bunNative(): NativeModule | undefined {
  const system = C_LIBRARIES[process.platform];
  if (!system) return undefined;
  try {
    const ffi = require('bun:ffi');
    // Each thread has its own, in the same place for as long as it lives. It is read right after a call: nothing that Bun does
    // in between calls the system.
    const place = Number(bind(ffi, system.files, `void *${system.errno}()`)());
    return {
      load: (name): NativeLibrary => {
        const files = name === null ? system.files : [name];
        return { func: (prototype) => withLater(bind(ffi, files, prototype)) };
      },
      errno: () => ffi.read.i32(place, 0),
      address: (bytes) => ffi.ptr(bytes),
    };
  } catch {
    return undefined;
  }
}
