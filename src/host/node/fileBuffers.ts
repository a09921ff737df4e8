/**
 * Page-aligned transfer buffers. The kernel's copies to a buffer that starts in the middle of a page cost twice as
 * much, and direct I/O refuses them; the memory of a WebAssembly module is always aligned, and so is memory that may grow.
 * Both are shared, so that worker threads code and encrypt in place; the former can be searched for zeroes quickly.
 */
import { isPageMemory, sharedArray } from '../../base/kernels.ts';
import { MiB } from '../../base/offset.ts';
import type { BufferPool } from '../../base/inflight.ts';
import { heedLimits } from './limits.ts';

/** Alignment that is good for every device. */
const MEMORY_ALIGNMENT = 4096;
/** Buffers are cut from slabs, since each memory reserves gigabytes of address space; untouched parts take no memory. */
const SLAB_BUFFERS = 8;

/** True if the array is known to start at a multiple of `alignment` (at most 4,096) in memory. */
export function isMemoryAligned(view: Uint8Array, alignment: number): boolean {
  return isPageMemory(view) && view.byteOffset % alignment === 0 && alignment <= MEMORY_ALIGNMENT;
}

/** A new array of zeroes that starts at a page; see `sharedArray`. */
export function pageArray(length: number): Uint8Array {
  heedLimits();
  return sharedArray(length);
}

/** Page-aligned buffers of one size. While none of them is in use, the free ones are there only until memory is needed. */
export class AlignedBufferPool implements BufferPool {
  readonly size: number;
  #free: Uint8Array[] = [];
  #used = 0;
  /** The free ones while none is in use. */
  #idle: WeakRef<Uint8Array[]> | undefined;

  /** @param size bytes in each buffer, a multiple of 4,096; 2 MiB has measured best. */
  constructor(size: number = 2 * MiB) {
    this.size = size;
  }

  acquire(): Uint8Array {
    if (this.#used++ === 0) this.#free = this.#idle?.deref() ?? [];
    return this.#free.pop() ?? this.#makeSlab();
  }

  release(buffer: Uint8Array): void {
    this.#free.push(buffer);
    if (--this.#used > 0) return;
    this.#idle = new WeakRef(this.#free);
    this.#free = [];
  }

  /** Forgets the free buffers. */
  clear(): void {
    this.#free = [];
    this.#idle = undefined;
  }

  /** Returns the first buffer of a new slab; the others are free. */
  #makeSlab(): Uint8Array {
    const slab = pageArray(this.size * SLAB_BUFFERS);
    for (let index = SLAB_BUFFERS - 1; index > 0; index--) {
      this.#free.push(slab.subarray(index * this.size, (index + 1) * this.size));
    }
    return slab.subarray(0, this.size);
  }
}
