/** New clusters for bitmaps: until the header names what is in them, they can be given back. */
import { divideUp } from '../../../base/offset.ts';
import { asBlockError, withStrerror } from '../../../base/error.ts';
import type { Allocator } from '../clusters/allocator.ts';
import { type ImageState, OVERLAP_CHECK } from '../structure/imageState.ts';

/** An image with its allocator. */
export interface AllocatingImage extends ImageState {
  readonly allocator: Allocator;
}

/** Consecutive clusters from an offset on. */
export interface ClusterRun {
  readonly offset: number;
  readonly clusters: number;
}

/** Clusters that nothing on the disk refers to yet. */
export class FreshClusters {
  readonly #image: AllocatingImage;
  readonly #first: string;
  readonly #runs: ClusterRun[] = [];

  /** @param first the bitmap that the real tool, which stores all of them, would be at when there is no room. */
  constructor(image: AllocatingImage, first: string) {
    this.#image = image;
    this.#first = first;
  }

  /** Writes bytes into new clusters; gives their offset. */
  async place(bytes: Uint8Array): Promise<number> {
    const offset = await this.#allocate(bytes.length);
    await this.#image.file.write(offset, bytes);
    return offset;
  }

  /** The same for a part of a bitmap, with the real tool's words for what may go wrong. */
  async placeFor(name: string, bytes: Uint8Array): Promise<number> {
    let offset: number;
    try {
      offset = await this.#allocate(bytes.length);
    } catch (thrown) {
      const error = asBlockError(thrown);
      const overlap = error.context.access === OVERLAP_CHECK;
      const what = overlap ? 'Qcow2 overlap check failed' : `Failed to allocate clusters for bitmap '${this.#first}'`;
      throw error.reworded(`${what}: ${error.strerror}`);
    }
    await withStrerror(`Failed to write bitmap '${name}' to file`, () => this.#image.file.write(offset, bytes));
    return offset;
  }

  async #allocate(length: number): Promise<number> {
    const { allocator, geometry } = this.#image;
    const clusters = divideUp(length, geometry.clusterSize);
    const offset = await allocator.allocate(clusters);
    this.#runs.push({ offset, clusters });
    return offset;
  }

  /** The header names what is in them: they are not to be given back any more. */
  keep(): void {
    this.#runs.length = 0;
  }

  /** They are not needed after all. */
  async giveBack(): Promise<void> {
    const { abandoned, allocator } = this.#image;
    if (abandoned) return;
    for (const { offset, clusters } of this.#runs) await allocator.giveBack(offset, clusters);
  }
}
