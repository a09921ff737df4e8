/** The Parallels driver: registration, options, and the image's face to the block layer. */
import type { MaybePromise } from '../../base/async.ts';
import { invalidArgument } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { check, checkerOf, needsRepair } from './check.ts';
import { create, createOptions } from './create.ts';
import { checkExtension } from './extension.ts';
import { HEADER_SIZE, parseHeader } from './header.ts';
import { ParallelsImage } from './image.ts';
import { allocate, map, release } from './mapping.ts';
import { probe } from './probe.ts';

/** The real tool reserves space ahead while it writes, and cuts it off again; here clusters are made as needed. */
const openOptions = {
  'prealloc-size': { kind: 'size', help: 'Space to reserve at a time; accepted and not needed' },
  'prealloc-mode': { kind: 'string', help: 'Way of reserving: falloc or truncate; accepted and not needed' },
} as const satisfies OptionTable;

/** An open Parallels image as the block layer sees it. */
class ParallelsDriver implements ImageDriver, Writing {
  readonly #image: ParallelsImage;
  readonly checker: Checker;
  readonly quirks: Quirks = {
    ignoresBitmaps: true,
    unknownClusters: true,
    inSectors: true,
    staysReadOnly: true,
  };
  readonly writing: Writing = this;

  constructor(image: ParallelsImage) {
    this.#image = image;
    this.checker = checkerOf(image);
  }

  get virtualSize(): number {
    return this.#image.header.virtualSize;
  }

  get allocationUnit(): number {
    return this.#image.header.cluster;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#image, offset, length);
  }

  allocate(offset: number, length: number): Promise<Allocation> {
    return allocate(this.#image, offset, length);
  }

  writeZeroes(offset: number, length: number): Promise<void> {
    return release(this.#image, offset, length);
  }

  discard(offset: number, length: number): Promise<void> {
    return release(this.#image, offset, length);
  }

  flush(): Promise<void> {
    return this.#image.flush();
  }

  close(): Promise<void> {
    return this.#image.close();
  }

  info(): FormatInfo {
    return {};
  }
}

function checkOptions(options: OptionValues<typeof openOptions>): void {
  const mode = options['prealloc-mode'];
  if (mode !== undefined && mode !== 'falloc' && mode !== 'truncate') {
    throw invalidArgument(`invalid parameter value: ${mode}`);
  }
}

async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, readOnly, intent } = context;
  const bytes = new Uint8Array(HEADER_SIZE);
  await file.readPadded(0, bytes);
  const header = parseHeader(bytes, alignUp(file.size(), SECTOR));
  checkOptions(context.options);
  if (header.extension !== 0) {
    if (readOnly) await checkExtension(file, header, context.services);
    else context.warn('Format Extension ignored in RW mode');
  }
  const image = new ParallelsImage(file, header, bytes);
  if (!readOnly && intent !== 'check' && (await needsRepair(image))) {
    await check(image, 'all', (line) => context.notice?.(line));
  }
  image.tellMissing = context.tellMissing;
  return new ParallelsDriver(image);
}

/** The format of Parallels Desktop and Virtuozzo. */
export const parallels: FormatDriver = {
  name: 'parallels',
  probe,
  openOptions,
  createOptions,
  open,
  create,
} satisfies FormatDriver<typeof openOptions, typeof createOptions>;
