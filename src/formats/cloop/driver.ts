/** The driver of compressed loop images: only reading. */
import { isPromise } from '../../base/async.ts';
import { BlockError, ioError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { DecodedUnits, type Unit } from '../../block/kit/decodedUnits.ts';
import { PagedTable } from '../../block/kit/pagedTable.ts';
import type { Checker, FormatInfo, ImageDriver, Quirks } from '../../block/capabilities.ts';
import type { FormatDriver, OpenContext } from '../../block/format.ts';
import type { Mapping } from '../../block/mapping.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { deepCheckerOf } from './deepCheck.ts';
import { checkOffsets, type Header, parseHeader, TABLE_AT } from './header.ts';
import { probe } from './probe.ts';

/** Bytes of the table of offsets that are kept. */
const TABLE_BUDGET: number = 4 * MiB;
/** Bytes of decoded blocks that are kept. */
const BLOCK_BUDGET: number = 16 * MiB;

/** An open image as the block layer sees it. */
class CloopDriver implements ImageDriver {
  readonly #file: Storage;
  readonly #header: Header;
  readonly #codec: CodecPort;
  readonly #offsets: PagedTable;
  readonly #blocks: DecodedUnits<Unit>;
  readonly quirks: Quirks = { opaque: true, inSectors: true, staysReadOnly: true };
  readonly checker: Checker;

  constructor(file: Storage, header: Header, codec: CodecPort) {
    this.#file = file;
    this.#header = header;
    this.#codec = codec;
    this.#offsets = new PagedTable({
      file,
      offset: TABLE_AT,
      entries: header.blocks + 1,
      entryBytes: 8,
      budget: TABLE_BUDGET,
    });
    this.#blocks = new DecodedUnits(BLOCK_BUDGET, (units) => this.#decode(units));
    this.checker = deepCheckerOf({
      file,
      header,
      offset: (index) => this.#offset(index),
      decode: (indexes) => this.#decode(indexes.map((index) => this.#unit(index))),
    });
  }

  get virtualSize(): number {
    return this.#header.blocks * this.#header.block;
  }

  map(_offset: number, length: number): Mapping {
    return { kind: 'special', length, compressed: true, encrypted: false };
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    const { block } = this.#header;
    const units: Unit[] = [];
    for (let key = Math.floor(offset / block); key * block < offset + into.length; key++) units.push(this.#unit(key));
    return this.#blocks.read(offset, into, units);
  }

  #unit(key: number): Unit {
    const { block } = this.#header;
    return { key, start: key * block, length: block };
  }

  async #decode(units: readonly Unit[]): Promise<Uint8Array[]> {
    const pieces = [];
    for (const { key, length } of units) {
      // One byte more than a block has shows streams that are too long.
      pieces.push({ input: await this.#stored(key), output: new Uint8Array(length + 1) });
    }
    const lengths = await this.#codec.decompressBatch({ method: 'zlib' }, pieces);
    return pieces.map(({ output }, index) => {
      const length = output.length - 1;
      if (lengths[index] !== length) throw damagedBlock(units[index]?.start);
      return output.subarray(0, length);
    });
  }

  /** The compressed bytes of a block. */
  async #stored(block: number): Promise<Uint8Array> {
    const start = await this.#offset(block);
    const end = Math.min(await this.#offset(block + 1), this.#file.size());
    if (start >= end) throw damagedBlock(block * this.#header.block);
    const bytes = new Uint8Array(end - start);
    await this.#file.read(start, bytes);
    return bytes;
  }

  async #offset(index: number): Promise<number> {
    const found = this.#offsets.page(index);
    const page = isPromise(found) ? await found : found;
    return Number(page.view.getBigUint64(this.#offsets.position(index)));
  }

  flush(): void {}

  close(): void {}

  info(): FormatInfo {
    return {};
  }
}

function damagedBlock(offset: number | undefined): BlockError {
  return ioError({ access: 'read', offset: offset ?? 0 });
}

/** Looks through the table of offsets once, so that damage shows when the image is opened. */
async function checkTable(file: Storage, header: Header): Promise<void> {
  const size = (header.blocks + 1) * 8;
  let last: bigint | undefined;
  for (let at = 0; at < size; at += MiB) {
    const bytes = await readAt(file, TABLE_AT + at, Math.min(MiB, size - at));
    last = checkOffsets(bytes, at / 8, last);
    // Behind the end of the file everything is zero.
    if (TABLE_AT + at + bytes.length >= file.size() && last === 0n) return;
  }
}

async function open(context: OpenContext): Promise<ImageDriver> {
  if (!context.readOnly) throw new BlockError('permission-denied', 'Image is read-only');
  const bytes = await readAt(context.file, 0, TABLE_AT);
  const header = parseHeader(bytes);
  await checkTable(context.file, header);
  return new CloopDriver(context.file, header, context.services.codec);
}

/** Compressed loop images, version 2, as early live systems (Knoppix) used them. */
export const cloop: FormatDriver = { name: 'cloop', probe, openOptions: {}, open };
