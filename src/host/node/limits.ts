/**
 * Limits that the caller sets on the process: services let tools that open other people's images have one or two GiB of
 * address space (RLIMIT_AS), or few threads (RLIMIT_NPROC). Node and the C library reserve address space freely, and end
 * the program where they get none; threads that cannot be started end it as well. So where there is little of either, as
 * little as possible is asked for.
 */
import { readFileSync } from 'node:fs';
import { unsupported } from '../../base/error.ts';
import { reserveNothing } from '../../base/kernels.ts';
import { MiB } from '../../base/offset.ts';
import { libc } from './ffi.ts';

/** Resources of `sys/resource.h`. */
const RLIMIT_NPROC = 6;
const RLIMIT_AS = 9;
/** `M_ARENA_MAX` of `malloc.h`. */
const ARENA_MAX = -8;

/** With less than this to spare, threads for single requests would take the address space that the data needs. */
const ROOM_FOR_THREADS = 512 * MiB;
/** Below this many processes of a user, none may be left: Node's own threads count, and those of other programs. */
const ENOUGH_PROCESSES = 256;
/** Threads that may be started while the program runs, generously. */
const OWN_THREADS = 64;
/** Address space that a worker takes, most of it reserved by V8 for good measure. */
const WORKER = 448 * MiB;
/** Address space that is left for data, and for the growth of the main thread's heap. */
const RESERVE = 320 * MiB;
/** Address space that the memory of a WebAssembly module reserves, so that code in it needs no checks of bounds. */
const WEB_ASSEMBLY = 12288 * MiB;
/** Requests that copies have under way at most, each on a thread of its own. */
const REQUESTS = 16;
/** What Node takes, where the kernel does not tell. */
const NODE = 900 * MiB;

/** What may be used. */
interface Limits {
  /** Bytes of address space; infinite without a limit. */
  readonly addressSpace: number;
  /** Other threads may be started for single requests. */
  readonly threads: boolean;
}

let found: Limits | undefined;

/** The limits of this process, as they were at the first call; memory is made accordingly from then on. */
function limits(): Limits {
  found ??= heed();
  return found;
}

function heed(): Limits {
  const system = libc();
  const addressSpace = system?.limit(RLIMIT_AS) ?? Number.POSITIVE_INFINITY;
  const processes = process.getuid?.() === 0 ? Number.POSITIVE_INFINITY : (system?.limit(RLIMIT_NPROC) ?? Infinity);
  const limited = Number.isFinite(addressSpace);
  const room = limited ? addressSpace - addressSpaceInUse() : addressSpace;
  if (limited) {
    reserveNothing();
    // Each thread of the C library would reserve 64 MiB for its own small pieces of memory, and twice that at times.
    system?.tune(ARENA_MAX, 1);
  }
  const threads = room >= ROOM_FOR_THREADS && mayStart(processes);
  if (!threads) system?.useOneThread();
  else if (hasOwnProcess && !limited) process.env['UV_THREADPOOL_SIZE'] = String(REQUESTS);
  return { addressSpace, threads };
}

/** True if threads are certainly left: all of the machine are more than those of one user. */
function mayStart(processes: number): boolean {
  if (processes === Number.POSITIVE_INFINITY) return true;
  return processes >= ENOUGH_PROCESSES && processes - threadsOfMachine() >= OWN_THREADS;
}

/** All threads there are, of which a user's are a part; 0 where the kernel does not tell. */
function threadsOfMachine(): number {
  try {
    return Number(/\/(\d+)/.exec(readFileSync('/proc/loadavg', 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Finds out about limits, before memory is reserved. Costs two system calls at the first call, later nothing. */
export function heedLimits(): void {
  limits();
}

/** True if other threads may be started for single requests; else the calling thread does them. */
export function mayUseThreads(): boolean {
  return limits().threads;
}

let hasOwnProcess = false;

/**
 * Says, before the first request, that the process belongs to the program: as many requests may wait for slow storage at a time
 * as copies make. Node alone has four threads for that, and starts all of them at the first request.
 */
export function allowManyRequests(): void {
  hasOwnProcess = true;
}

let waitsHere = false;

/** From now on flushes are waited for on the calling thread, by who has nothing else to do: threads take time to start. */
export function waitForFlushes(): void {
  waitsHere = true;
}

/** True if another thread is to wait for a flush. */
export function mayFlushElsewhere(): boolean {
  return !waitsHere && mayUseThreads();
}

/** Does something on this thread, after signals and timers had their turn. */
export function soon<T>(body: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(body());
      } catch (thrown) {
        reject(thrown);
      }
    });
  });
}

/** Most worker threads that may be started now beside those that run; infinite without a limit. */
export function roomForWorkers(): number {
  const { addressSpace, threads } = limits();
  if (!threads) return 0;
  if (!Number.isFinite(addressSpace)) return addressSpace;
  return Math.max(0, Math.floor((addressSpace - addressSpaceInUse() - RESERVE) / WORKER));
}

/** True if address space is scarce, so that nobody should reserve what is not needed. */
export function isAddressSpaceLimited(): boolean {
  return Number.isFinite(limits().addressSpace);
}

/**
 * Asks whether a module of WebAssembly can be used: libraries do not say when they cannot.
 * @param what is to be done with it, and with what else it could be done.
 * @throws BlockError
 */
export function needWebAssembly(what: string): void {
  const { addressSpace } = limits();
  const lack = !('WebAssembly' in globalThis)
    ? 'which is not there without compilers'
    : addressSpace - addressSpaceInUse() < WEB_ASSEMBLY
      ? `which needs ${WEB_ASSEMBLY / MiB / 1024} GiB of address space`
      : undefined;
  if (lack === undefined) return;
  const message = `${what} needs WebAssembly here, ${lack}`;
  throw unsupported(message, { posix: { code: 'ENOTSUP', text: message } });
}

function addressSpaceInUse(): number {
  try {
    return Number.parseInt(readFileSync('/proc/self/statm', 'latin1'), 10) * 4096;
  } catch {
    return NODE;
  }
}
