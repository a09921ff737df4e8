/** Room for guest data, and compressed clusters. */
import { BlockError, ioError, unsupported } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Compressor } from '../../block/capabilities.ts';
import { encryptedRoom } from '../../block/kit/encryptedRoom.ts';
import { wholeUnits } from '../../block/kit/units.ts';
import type { Allocation } from '../../block/mapping.ts';
import { runAt } from './mapping.ts';
import { type QcowState, writeCompressed, writeEntry } from './state.ts';

/** Finds or makes room for guest bytes. Compressed clusters get new room: their old one is lost. */
export async function allocate(image: QcowState, offset: number, length: number): Promise<Allocation> {
  const { clusterSize, file, filename, tables, units } = image;
  const { place: old, count } = await runAt(image, offset, tables.lengthIn(offset, length));
  if (old >= 0) {
    if (old % SECTOR !== 0 || old >= file.size()) throw ioError({ filename, offset: old });
    return withCipher(image, units.room({ place: old, count }, offset, length));
  }
  const commit = (place: number): Promise<void> => link(image, offset, count, place);
  return withCipher(image, units.append(image.end, count, offset, commit, clusterSize));
}

function withCipher(image: QcowState, room: Allocation): Allocation {
  const { cipher } = image;
  if (!image.encrypted) return room;
  if (!cipher) throw new BlockError('internal', 'encrypted image without a key');
  return encryptedRoom({ ...room, zeroed: false }, image.services.buffers, (guest, bytes) => {
    cipher.encrypt(guest / SECTOR, bytes);
  });
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
    encode(_guestOffset, bytes, mayOverwrite) {
      const how = { method: 'deflate-raw', windowBits: 12, memLevel: 9 } as const;
      const whole = wholeUnits(bytes, clusterSize);
      return image.services.codec.compressBatch(how, whole, clusterSize, clusterSize, mayOverwrite);
    },
    store: (guestOffset, coded) => store(image, guestOffset, coded),
  };
}

/** Stores one coded cluster, byte-tight behind the last one. */
async function store(image: QcowState, guest: number, coded: Uint8Array): Promise<void> {
  if (image.encrypted) {
    throw unsupported('Compression and encryption not supported at the same time');
  }
  const offset = image.end.reserve(coded.length);
  await image.file.write(offset, coded);
  const table = await image.writableL2(guest);
  const place = { offset, length: coded.length };
  writeCompressed(table.view, image.position(guest), image.header.clusterBits, place);
  image.changed(table);
}
