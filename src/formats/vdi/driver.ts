/** The VDI driver: registration, options, and the image's face to the block layer. */
import type { MaybePromise } from '../../base/async.ts';
import type { BeyondEnd, Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { OptionTable } from '../../options/table.ts';
import { checkerOf } from './check.ts';
import { create, createOptions } from './create.ts';
import { BLOCK, HEADER_SIZE, parseHeader } from './header.ts';
import { VdiImage } from './image.ts';
import { allocate, map } from './mapping.ts';
import { probe } from './probe.ts';

/** An open VDI image as the block layer sees it. */
class VdiDriver implements ImageDriver, Writing {
  readonly #image: VdiImage;
  readonly allocationUnit: number = BLOCK;
  readonly quirks: Quirks = { strideUnit: BLOCK };
  readonly checker: Checker;
  readonly beyondEnd: BeyondEnd = { data: 'lost' };
  readonly writing: Writing = this;

  constructor(image: VdiImage) {
    this.#image = image;
    this.checker = checkerOf(image);
  }

  get virtualSize(): number {
    return this.#image.header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#image, offset, length);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#image, offset, length);
  }

  flush(): Promise<void> {
    return this.#image.flush();
  }

  close(): Promise<void> {
    return this.#image.flush();
  }

  info(): FormatInfo {
    return { clusterSize: BLOCK, dirty: false };
  }
}

async function open(context: OpenContext): Promise<ImageDriver> {
  const bytes = new Uint8Array(HEADER_SIZE);
  await context.file.readPadded(0, bytes);
  return new VdiDriver(new VdiImage(context.file, parseHeader(bytes), bytes));
}

/** The VDI format of VirtualBox. */
export const vdi: FormatDriver = {
  name: 'vdi',
  probe,
  openOptions: {},
  createOptions,
  open,
  create,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
