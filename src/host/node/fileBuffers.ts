/**
 * Page-aligned transfer buffers. The kernel's copies to a buffer that starts in the middle of a page cost twice as
 * much, and direct I/O refuses them; the memory of a WebAssembly module is the one kind that is always aligned. It is
 * shared, so that worker threads code and encrypt in place.
 */
import type { BufferPool } from '../../block/services.ts';
import { MiB } from '../../base/offset.ts';

/** The part of the global `WebAssembly` that is used; the `es2023` library has no types for it. */
declare const WebAssembly: {
  Memory: new (descriptor: {
    initial: number;
    maximum: number;
    shared: boolean;
  }) => { readonly buffer: ArrayBufferLike };
};

/** Bytes in a page of WebAssembly memory. */
const PAGE = 65536;
/** Alignment that is good for every device. */
const MEMORY_ALIGNMENT = 4096;
/** Buffers are cut from slabs, since each memory reserves gigabytes of address space; untouched parts take no memory. */
const SLAB_BUFFERS = 8;

const alignedMemory = new WeakSet<ArrayBufferLike>();

/**
 * A new, page-aligned array of zeroes; `length` is rounded up to 64 KiB in memory. All threads see it, so that messages
 * to workers need no copies.
 */
export function alignedArray(length: number): Uint8Array {
  const pages = Math.ceil(length / PAGE);
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  alignedMemory.add(buffer);
  return new Uint8Array(buffer, 0, length);
}

/** True if the array is known to start at a multiple of `alignment` (at most 4,096) in memory. */
export function isMemoryAligned(view: Uint8Array, alignment: number): boolean {
  return alignedMemory.has(view.buffer) && view.byteOffset % alignment === 0 && alignment <= MEMORY_ALIGNMENT;
}

/** Page-aligned buffers of one size. */
export class AlignedBufferPool implements BufferPool {
  readonly size: number;
  readonly #free: Uint8Array[] = [];

  /** @param size bytes in each buffer, a multiple of 4,096; 1 MiB has measured best. */
  constructor(size: number = MiB) {
    this.size = size;
  }

  acquire(): Uint8Array {
    const known = this.#free.pop();
    if (known) return known;
    const slab = alignedArray(this.size * SLAB_BUFFERS);
    for (let index = SLAB_BUFFERS - 1; index > 0; index--) {
      this.#free.push(slab.subarray(index * this.size, (index + 1) * this.size));
    }
    return slab.subarray(0, this.size);
  }

  release(buffer: Uint8Array): void {
    this.#free.push(buffer);
  }
}
