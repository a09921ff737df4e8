/** What an opened image is like, and what can be done with it: questions that its driver answers without looking at anything. */
import type { Limits, Storage } from '../../storage/storage.ts';
import type { Amender, BackingReference, Checker, Coder, ImageDriver, Quirks } from '../capabilities.ts';

const NO_QUIRKS: Quirks = {};

/** The driver of a node, as others see it. */
export class ImageLayer {
  /** The node's own: nobody else calls it. */
  protected readonly image: ImageDriver;

  constructor(image: ImageDriver) {
    this.image = image;
  }

  /** Guest size in bytes. */
  size(): number {
    return this.image.virtualSize;
  }

  get limits(): Limits {
    return { requestAlignment: 1, ...this.image.limits };
  }

  /** Guest bytes that are allocated as one, a power of two; absent where each byte is on its own. */
  get allocationUnit(): number | undefined {
    return this.image.allocationUnit;
  }

  /** What the real tool does oddly with images of the format. */
  get quirks(): Quirks {
    return this.image.quirks ?? NO_QUIRKS;
  }

  /** Zeroes can be recorded without being written. */
  get recordsZeroes(): boolean {
    return this.image.writing?.writeZeroes !== undefined;
  }

  /** Reads what has not been read, where that is what checksums of the node's own are about. @throws BlockError if one is wrong. */
  async verifyOwn(): Promise<void> {
    await this.image.verify?.();
  }

  /** The guest-visible size can be changed, though perhaps not to every size. */
  get resizable(): boolean {
    return this.image.writing?.resize !== undefined;
  }

  /** Storages besides `file` that hold the image's bytes. */
  get children(): NonNullable<ImageDriver['children']> {
    return this.image.children ?? [];
  }

  /** The backing image as the image names it, open or not. */
  get backingReference(): BackingReference | undefined {
    return this.image.backing?.reference;
  }

  /** The image can be told to name another backing image. */
  get recordsBacking(): boolean {
    return this.image.backing?.set !== undefined;
  }

  /** The image looks at its backing image before that one's bytes are taken for its own. */
  get admitsBacking(): boolean {
    return this.image.backing?.admit !== undefined;
  }

  /** What the checks of the format can do; absent where there are none. */
  get checks(): Pick<Checker, 'deepOnly' | 'repairs'> | undefined {
    return this.image.checker;
  }

  /** How options of the image can be changed; absent where they cannot. */
  get amends(): Pick<Amender, 'alone'> | undefined {
    return this.image.amender;
  }

  /** Content of snapshots can be read (`NodeSnapshots.view`). */
  get showsSnapshots(): boolean {
    return this.image.snapshots !== undefined;
  }

  /** As `Storage.debugEvent`: told to what is below by filters that are for that. */
  get debugEvent(): Storage['debugEvent'] {
    return this.image.debugEvent;
  }

  /** Compressed writing, where the image has it; what was coded goes to `ImageNode.storeCompressed`. */
  get compressor(): Coder | undefined {
    return this.image.writing?.compressor;
  }
}
