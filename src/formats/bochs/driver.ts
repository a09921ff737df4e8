/** The driver of growing Bochs disks: only reading. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import { MetadataCache } from '../../block/kit/cache.ts';
import type { BeyondEnd, Checker, FormatInfo, ImageDriver, Quirks } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Mapping } from '../../block/mapping.ts';
import { MissingTables } from '../../block/node/missing.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { deepCheckerOf } from './deepCheck.ts';
import { HEADER_SIZE, type Header, parseHeader, UNALLOCATED } from './header.ts';
import { probe } from './probe.ts';

/** Bytes of bitmaps that are kept. */
const BUDGET = 1048576;

/** An open image as the block layer sees it. */
class BochsDriver implements ImageDriver {
  readonly beyondEnd: BeyondEnd = { data: 'told' };
  readonly #file: Storage;
  readonly #header: Header;
  readonly #catalog: DataView;
  /** Bitmaps of extents by their place: a bit for each sector that was written. */
  readonly #bitmaps: MetadataCache;
  readonly #missing: MissingTables | undefined;
  readonly quirks: Quirks = { opaque: true, inSectors: true, staysReadOnly: true };
  readonly checker: Checker;

  constructor(file: Storage, header: Header, catalog: Uint8Array, missing?: MissingTables) {
    this.#missing = missing;
    this.#file = file;
    this.#header = header;
    this.#catalog = new DataView(catalog.buffer, catalog.byteOffset, catalog.byteLength);
    this.checker = deepCheckerOf(file, header, this.#catalog);
    const tableSize = Math.ceil(header.extent / SECTOR / 8);
    this.#bitmaps = new MetadataCache({ storage: file, tableSize, budget: BUDGET });
  }

  get virtualSize(): number {
    return this.#header.virtualSize;
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    const { extent, bitmapBytes, dataOffset } = this.#header;
    const inside = offset % extent;
    const known = Math.min(length, extent - inside);
    const entry = this.#catalog.getUint32(((offset - inside) / extent) * 4, true);
    if (entry === UNALLOCATED) return { kind: 'zero', length: known };
    const place = dataOffset + entry * (bitmapBytes + extent);
    // Neither the bitmap nor the data of such an extent is there.
    this.#missing?.look(place, 1, offset);
    if (place >= this.#file.size()) return { kind: 'zero', length: known };
    const bitmap = this.#bitmaps.get(place);
    const data = place + bitmapBytes;
    if (isPromise(bitmap)) return bitmap.then(({ bytes }) => this.#run(bytes, inside, known, data));
    return this.#run(bitmap.bytes, inside, known, data);
  }

  /** The run of sectors of one kind in an extent whose data is at `data`. */
  #run(bitmap: Uint8Array, inside: number, length: number, data: number): Mapping {
    const written = (sector: number): boolean => (((bitmap[sector >>> 3] ?? 0) >>> (sector & 7)) & 1) === 1;
    const first = Math.floor(inside / SECTOR);
    const present = written(first);
    let next = first + 1;
    while (next * SECTOR < inside + length && written(next) === present) next++;
    const known = Math.min(length, next * SECTOR - inside);
    if (!present) return { kind: 'zero', length: known };
    return { kind: 'data', length: known, storage: this.#file, offset: data + inside };
  }

  flush(): void {}

  close(): void {}

  info(): FormatInfo {
    return {};
  }
}

async function open(context: OpenContext): Promise<ImageDriver> {
  if (!context.readOnly) throw new BlockError('permission-denied', 'Image is read-only');
  const bytes = await readAt(context.file, 0, HEADER_SIZE);
  const header = parseHeader(bytes);
  const catalog = await readAt(context.file, header.catalogOffset, header.entries * 4);
  const missing = context.tellMissing && new MissingTables(context.file, context.tellMissing);
  return new BochsDriver(context.file, header, catalog, missing);
}

/** Growing disks of the Bochs emulator. */
export const bochs: FormatDriver = { name: 'bochs', probe, openOptions: {}, open };
