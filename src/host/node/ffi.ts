/**
 * The few calls of C libraries that Node does not offer, through the native module of koffi's platform package. The module is
 * loaded on first use; where there is none (another platform, optional dependencies left out), everything that needs
 * it degrades: no kernel locks, no holes, no kernel copies.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { bytesOf } from '../../base/text.ts';
import { darwinLibc } from './darwin.ts';
import type { Libc, NativeArgument, NativeFunction, NativeLibrary, NativeModule } from './native.ts';
import { otherRuntime } from './runtime.ts';

/** Names are relative to the working directory. */
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const RWF_NOWAIT = 8;
const SYNC_FILE_RANGE_WRITE = 2;
const SOL_SOCKET = 1;
/** `RLIM_INFINITY` */
const NO_LIMIT = 2n ** 64n - 1n;

/** A 64-bit argument: koffi takes numbers as far as they are exact. */
function wide(value: number): number | bigint {
  return Number.isSafeInteger(value) ? value : BigInt(value);
}

/**
 * Directories that may hold the package, nearest first: looking ourselves is quicker than Node's own resolution. Without
 * `node:path` and `node:url`, which other runtimes would have to load.
 */
function* packageFolders(name: string): Generator<string> {
  // Node has the first only from 20.11 on; in the program the second would have it load a module.
  let folder = import.meta.dirname ?? decodeURIComponent(new URL('.', import.meta.url).pathname).slice(0, -1);
  for (; folder !== ''; folder = folder.slice(0, folder.lastIndexOf('/'))) yield `${folder}/node_modules/${name}`;
  yield createRequire(import.meta.url)
    .resolve(`${name}/package.json`)
    .replace(/\/package\.json$/, '');
}

function loadNative(): NativeModule | undefined {
  // Request codes, structures and open file description locks are those of 64-bit Linux; other platforms go without.
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return undefined;
  const name = `@koromix/koffi-linux-${process.arch}`;
  try {
    for (const folder of packageFolders(name)) {
      if (!existsSync(folder)) continue;
      for (const build of [`linux_${process.arch}`, `musl_${process.arch}`]) {
        try {
          // Not `require`: the package's own loader looks into ELF files first, which takes longer than all else here.
          const holder = { exports: {} };
          process.dlopen(holder, `${folder}/${build}/koffi.node`);
          return holder.exports as NativeModule;
        } catch {
          // Built for the other C library.
        }
      }
    }
  } catch {
    // Not installed: it is an optional dependency.
  }
  return undefined;
}

function bind(native: NativeModule): Libc {
  const library = native.load(null);
  const functions = new Map<string, NativeFunction>();
  const get = (prototype: string): NativeFunction => {
    let found = functions.get(prototype);
    if (!found) {
      found = library.func(prototype);
      functions.set(prototype, found);
    }
    return found;
  };
  const result = (value: number | bigint): number => (value < 0 ? -native.errno() : Number(value));
  let oneThread = false;
  const vector = new BigUint64Array(2);
  const later = (call: NativeFunction, ...parameters: NativeArgument[]): Promise<number> =>
    new Promise((resolve, reject) => {
      // Not at once: signals and timers get their turn between two calls.
      if (oneThread) setImmediate(() => resolve(result(call(...parameters))));
      else
        call.async(...parameters, (error, value) => {
          if (error) reject(error);
          else resolve(result(value));
        });
    });

  const seek = 'int64 lseek(int fd, int64 offset, int whence)';
  const fcntl = library.func('int fcntl(int fd, int command, void *lock)');
  const fallocate = 'int fallocate(int fd, int mode, int64 offset, int64 length)';
  const copy = 'int64 copy_file_range(int from, void *fromOffset, int to, void *toOffset, uint64 length, uint flags)';
  const syncRange = 'int sync_file_range(int fd, int64 offset, int64 length, uint flags)';
  const preadv2 = 'int64 preadv2(int fd, const void *vector, int count, int64 offset, int flags)';
  const ioctl = 'int ioctl(int fd, ulong request, void *argument)';
  return {
    seek: (fd, offset, whence) => result(get(seek)(fd, wide(offset), whence)),
    fallocate: (fd, mode, offset, length) => later(get(fallocate), fd, mode, wide(offset), wide(length)),
    fallocateSync: (fd, mode, offset, length) => result(get(fallocate)(fd, mode, wide(offset), wide(length))),
    copyFileRange: (from, fromOffset, to, toOffset, length) => {
      const start = new BigInt64Array([BigInt(fromOffset)]);
      const target = new BigInt64Array([BigInt(toOffset)]);
      return later(get(copy), from, start, to, target, length, 0);
    },
    writeBack: (fd, offset, length) => later(get(syncRange), fd, wide(offset), wide(length), SYNC_FILE_RANGE_WRITE),
    lock: (fd, command, lock) => result(fcntl(fd, command, lock)),
    ioctl: (fd, request, argument) => result(get(ioctl)(fd, request, argument)),
    ioctlAsync: (fd, request, argument) => later(get(ioctl), fd, request, argument),
    readCached: (fd, into, offset) => {
      // `struct iovec`
      vector[0] = BigInt(native.address(into));
      vector[1] = BigInt(into.length);
      return result(get(preadv2)(fd, vector, 1, wide(offset), RWF_NOWAIT));
    },
    write: (fd, from, offset) =>
      result(
        get('int64 pwrite(int fd, const void *from, uint64 count, int64 offset)')(fd, from, from.length, wide(offset)),
      ),
    socketOption: (fd, option, value) => {
      const set = get('int setsockopt(int fd, int level, int option, const void *value, uint size)');
      return result(set(fd, SOL_SOCKET, option, new Uint8Array(new Int32Array([value]).buffer), 4));
    },
    truncate: (fd, size) => result(get('int ftruncate(int fd, int64 size)')(fd, wide(size))),
    // Pointers as integers: SIG_IGN is 1, and an error is -1.
    ignore: (signal) => Math.min(0, result(get('int64 signal(int number, int64 handler)')(signal, 1))),
    isIgnored(signal) {
      // Larger than on any system; the handler is in front of all else, and SIG_IGN is 1.
      const action = new BigInt64Array(32);
      const code = get('int sigaction(int number, const void *to, void *from)')(signal, null, action);
      return code === 0 && action[0] === 1n;
    },
    link: (from, to) =>
      result(
        get('int linkat(int fromFolder, const void *from, int toFolder, const void *to, int flags)')(
          AT_FDCWD,
          bytesOf(`${from}\0`),
          AT_FDCWD,
          bytesOf(`${to}\0`),
          AT_SYMLINK_FOLLOW,
        ),
      ),
    limit(resource) {
      const pair = new BigUint64Array(2);
      const code = get('int getrlimit(int resource, void *limits)')(resource, new Uint8Array(pair.buffer));
      return code < 0 || pair[0] === NO_LIMIT ? Number.POSITIVE_INFINITY : Number(pair[0]);
    },
    tune(parameter, value) {
      try {
        get('int mallopt(int parameter, int value)')(parameter, value);
      } catch {
        // A C library with an allocator of its own.
      }
    },
    useOneThread() {
      oneThread = true;
    },
  };
}

let loaded: { readonly native: NativeModule | undefined; readonly libc: Libc | undefined } | undefined;

function load(): { readonly native: NativeModule | undefined; readonly libc: Libc | undefined } {
  if (!loaded) {
    const native = (otherRuntime()?.loadNative ?? loadNative)();
    const plain = native && bind(native);
    const darwin = process.platform === 'darwin' && native && plain;
    loaded = { native, libc: darwin ? darwinLibc(native, plain) : plain };
  }
  return loaded;
}

/** The C library, loaded on the first call; undefined where it cannot be reached. */
export function libc(): Libc | undefined {
  return load().libc;
}

/**
 * A library by its file name, or what the program is linked with (`null`); undefined where none can be loaded.
 * @throws Error if there is no such library.
 */
export function nativeLibrary(name: string | null): NativeLibrary | undefined {
  return load().native?.load(name);
}

/** Where the bytes of an array with a buffer of its own lie in memory, for structures with pointers. */
export function addressOf(bytes: Uint8Array): bigint {
  const { native } = load();
  if (!native) throw new Error('there is no native module');
  return BigInt(native.address(bytes));
}

/**
 * Ends the process without exit handlers: Node's frees all memory piece by piece, koffi's waits until what was written to
 * standard output is on the disk. Only returns where the C library was not loaded, or somebody measures the program.
 */
export function exitAtOnce(code: number): void {
  const watched =
    process.execArgv.some((flag) => /inspect|prof|report|trace/.test(flag)) ||
    process.env['NODE_V8_COVERAGE'] !== undefined ||
    process.listenerCount('exit') > 0;
  if (watched) return;
  otherRuntime()?.exit(code);
  loaded?.native?.load(null).func('void _exit(int code)')(code);
}

/** Name of an error number, for instance `ENOSPC` for 28. */
export function errorName(number: number): string {
  for (const [name, value] of Object.entries(constants.errno)) if (value === number) return name;
  return 'UNKNOWN';
}

/** True if a result of {@link Libc} is one of these errors. */
export function failedWith(result: number, ...names: readonly (keyof typeof constants.errno)[]): boolean {
  return result < 0 && names.some((name) => constants.errno[name] === -result);
}
