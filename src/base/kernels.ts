/** The loops of `kernels.wat`, for memory that is made here. Everything works without them, only slower. */
import { KERNEL_BYTES } from './kernelBytes.ts';

/** The part of the global `WebAssembly` that is used; the `es2023` library has no types for it. */
declare const WebAssembly: {
  Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => SharedMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: { env: { memory: SharedMemory } }) => { readonly exports: unknown };
};
declare const atob: (base64: string) => string;

interface SharedMemory {
  readonly buffer: ArrayBufferLike;
}

/** What the `es2023` library does not know of shared memory that can grow; absent where it is not allowed or not known. */
type SharedConstructor = new (length: number, options: { maxByteLength: number }) => SharedArrayBuffer;

/** Bytes in a page of WebAssembly memory. */
const PAGE = 65536;

/** Positions are those in the memory (`byteOffset` of a view of it), lengths are in bytes. */
export interface Kernels {
  /** End of the areas of `step` bytes (a power of two, 64 or more) from `start` on that are all zero. */
  zeroEnd(start: number, end: number, step: number): number;
  /** End of the areas of `step` bytes from `start` on that are not all zero; `end - start` is a multiple of 64. */
  dataEnd(start: number, end: number, step: number): number;
  /** From the first tweaks of XTS sectors at `first` makes all of them at `tweaks`, and XORs them to `data`. */
  xtsMask(first: number, tweaks: number, data: number, sectors: number): void;
  /** XORs the bytes at `from` to those at `to`; `length` is a multiple of 32 above 0. */
  xor(to: number, from: number, length: number): void;
}

let module: object | undefined;
/** By buffer: the memory, and the kernels once somebody has asked for them (undefined: there are none). */
const memories = new WeakMap<ArrayBufferLike, { readonly memory: SharedMemory; kernels?: Kernels | undefined }>();
/** Buffers that start at a page of memory. */
const paged = new WeakSet<ArrayBufferLike>();
let mayReserve = typeof WebAssembly === 'object';

/**
 * From now on memory is made without kernels. Each memory that has them reserves some 10 GiB of address space, so that
 * code in it needs no checks of bounds: more than there is where the address space is limited.
 */
export function reserveNothing(): void {
  mayReserve = false;
}

/**
 * A new array of zeroes that starts at a page of memory, where there is such memory; `length` is rounded up to 64 KiB
 * there. All threads see it, so that messages to workers need no copies.
 */
export function sharedArray(length: number): Uint8Array {
  const pages = Math.ceil(length / PAGE);
  const buffer = kernelBuffer(pages) ?? plainBuffer(pages * PAGE);
  return new Uint8Array(buffer, 0, length);
}

function kernelBuffer(pages: number): ArrayBufferLike | undefined {
  if (!mayReserve) return undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    memories.set(memory.buffer, { memory });
    paged.add(memory.buffer);
    return memory.buffer;
  } catch {
    // The address space is used up, or a page in a browser may not share memory: it will not be different next time.
    mayReserve = false;
    return undefined;
  }
}

/** Memory that may grow, which it never does, consists of whole pages as well, but reserves no more than its length. */
function plainBuffer(length: number): ArrayBufferLike {
  if (typeof SharedArrayBuffer === 'undefined') return new ArrayBuffer(length);
  const buffer = new (SharedArrayBuffer as SharedConstructor)(length, { maxByteLength: length });
  if ('growable' in buffer) paged.add(buffer);
  return buffer;
}

/** True if the array lies in memory of {@link sharedArray}, made in this thread, that starts at a page. */
export function isPageMemory(view: Uint8Array): boolean {
  return paged.has(view.buffer);
}

/** The kernels for the memory that `view` lies in; undefined for other memory, and where vectors are not supported. */
export function kernelsFor(view: Uint8Array): Kernels | undefined {
  const known = memories.get(view.buffer);
  if (!known) return undefined;
  if (!('kernels' in known)) known.kernels = kernelsOf(known.memory);
  return known.kernels;
}

/** New memory as of {@link sharedArray} that has kernels; undefined where there are none. */
export function kernelMemory(length: number): { readonly bytes: Uint8Array; readonly kernels: Kernels } | undefined {
  const buffer = kernelBuffer(Math.ceil(length / PAGE));
  if (!buffer) return undefined;
  const bytes = new Uint8Array(buffer, 0, length);
  const kernels = kernelsFor(bytes);
  return kernels && { bytes, kernels };
}

/**
 * An instance of a module with memory of its own, which no other thread sees; undefined where there is none to be had.
 * @param base64 the module, which imports `env.memory` and nothing else.
 */
export function instantiate(
  base64: string,
  pages: number,
): { readonly bytes: Uint8Array; readonly exports: unknown } | undefined {
  if (!mayReserve) return undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: pages });
    const { exports } = new WebAssembly.Instance(moduleOf(base64), { env: { memory } });
    return { bytes: new Uint8Array(memory.buffer), exports };
  } catch {
    return undefined;
  }
}

function moduleOf(base64: string): object {
  return new WebAssembly.Module(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
}

function kernelsOf(memory: SharedMemory): Kernels | undefined {
  try {
    module ??= moduleOf(KERNEL_BYTES);
    return new WebAssembly.Instance(module, { env: { memory } }).exports as Kernels;
  } catch {
    return undefined;
  }
}
