/** Room for guest data, and compressed clusters. */
import { isPromise } from '../../base/async.ts';
import { BlockError, ioError, unsupported } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import type { Compressor } from '../../block/capabilities.ts';
import type { Allocation } from '../../block/mapping.ts';
import { type QcowState, readEntry, writeCompressed, writeEntry } from './state.ts';
import { type Run, runAt } from './mapping.ts';

/** The run of clusters of one nature at a guest offset, within one L2 table. */
async function runFrom(image: QcowState, guest: number, end: number): Promise<Run> {
  const { clusterSize, l2Coverage } = image;
  const tableEnd = alignDown(guest, l2Coverage) + l2Coverage;
  const limit = Math.ceil((Math.min(end, tableEnd) - alignDown(guest, clusterSize)) / clusterSize);
  const index = Math.floor(guest / l2Coverage);
  const found = image.l1Page(index);
  const page = isPromise(found) ? await found : found;
  const offset = readEntry(page.view, image.l1Position(index));
  if (offset === 0) return { kind: 'unallocated', count: limit, offset: 0 };
  const loaded = image.l2Table(offset);
  const { view } = isPromise(loaded) ? await loaded : loaded;
  return runAt(image, view, image.position(guest), limit);
}

/** Finds or makes room for guest bytes. Compressed clusters get new room: their old one is lost. */
export async function allocate(image: QcowState, offset: number, length: number): Promise<Allocation> {
  const { clusterSize, file } = image;
  const inside = offset % clusterSize;
  const run = await runFrom(image, offset, offset + length);
  if (run.kind === 'data') {
    if (run.offset % SECTOR !== 0 || run.offset >= file.size()) {
      throw ioError({ filename: image.filename, offset: run.offset });
    }
    const known = Math.min(length, run.count * clusterSize - inside);
    return withCipher(image, {
      start: offset,
      length: known,
      storage: file,
      offset: run.offset + inside,
      fresh: false,
    });
  }
  const bytes = run.count * clusterSize;
  const place = image.reserve(bytes, clusterSize);
  const start = offset - inside;
  return withCipher(image, {
    start,
    length: bytes,
    storage: file,
    offset: place,
    fresh: true,
    zeroed: place >= file.size(),
    commit: () => link(image, start, run.count, place),
    abort: () => image.giveBack(place, bytes),
  });
}

function withCipher(image: QcowState, room: Allocation): Allocation {
  const { cipher } = image;
  if (!image.encrypted) return room;
  if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
  return {
    ...room,
    zeroed: false,
    encode: (guest, bytes) => {
      const coded = bytes.slice();
      cipher.encrypt(guest / SECTOR, coded);
      return coded;
    },
  };
}

async function link(image: QcowState, guest: number, count: number, place: number): Promise<void> {
  const table = await image.writableL2(guest);
  const first = image.position(guest);
  for (let i = 0; i < count; i++) writeEntry(table.view, first + i * 8, place + i * image.clusterSize);
  image.changed(table);
}

/** The compressor of an image: raw deflate in a 4 KiB window, which is what readers of the format expect. */
export function compressorOf(image: QcowState): Compressor {
  const { clusterSize } = image;
  return {
    unit: clusterSize,
    encode(_guestOffset, bytes) {
      let whole = bytes;
      if (bytes.length % clusterSize !== 0) {
        whole = new Uint8Array(alignUp(bytes.length, clusterSize));
        whole.set(bytes);
      }
      const how = { method: 'deflate-raw', windowBits: 12, memLevel: 9 } as const;
      return image.services.codec.compressBatch(how, whole, clusterSize, clusterSize);
    },
    store: (guestOffset, coded) => store(image, guestOffset, coded),
  };
}

/** Stores one coded cluster, byte-tight behind the last one. */
async function store(image: QcowState, guest: number, coded: Uint8Array): Promise<void> {
  if (image.encrypted) {
    throw unsupported('Compression and encryption not supported at the same time');
  }
  const offset = image.reserve(coded.length, 1);
  await image.file.write(offset, coded);
  const table = await image.writableL2(guest);
  const place = { offset, length: coded.length };
  writeCompressed(table.view, image.position(guest), image.header.clusterBits, place);
  image.changed(table);
}
