/** Writing compressed clusters. */
import { isPromise } from '../../../base/async.ts';
import { unsupported } from '../../../base/error.ts';
import { alignUp } from '../../../base/offset.ts';
import type { Compressor } from '../../../block/capabilities.ts';
import type { Compression } from '../../../codec/codec.ts';
import { setCompressed } from '../structure/geometry.ts';
import type { Qcow2State } from '../state.ts';
import { entryPosition, releaseOld, writableL2 } from './write.ts';

/** The codec call for an image: raw deflate in a 4 KiB window (the format's limit), or zstd. */
function compressionOf(image: Qcow2State): Compression {
  if (image.header.compressionType === 1) return { method: 'zstd' };
  return { method: 'deflate-raw', windowBits: 12, memLevel: 9 };
}

/** The compressor of an image. */
export function compressorOf(image: Qcow2State): Compressor {
  const { clusterSize } = image.geometry;
  return {
    unit: clusterSize,
    encode(_guestOffset, bytes, mayOverwrite) {
      let whole = bytes;
      if (bytes.length % clusterSize !== 0) {
        whole = new Uint8Array(alignUp(bytes.length, clusterSize));
        whole.set(bytes);
      }
      return image.services.codec.compressBatch(compressionOf(image), whole, clusterSize, clusterSize, mayOverwrite);
    },
    store: (guestOffset, coded) => store(image, guestOffset, coded),
  };
}

/** Stores one coded cluster, byte-tight behind the last one. */
async function store(image: Qcow2State, guest: number, coded: Uint8Array): Promise<void> {
  if (image.cipher) {
    // The real tool stores such clusters in the clear.
    throw unsupported('Compression and encryption not supported at the same time');
  }
  if (image.data !== image.file) throw unsupported('Data files do not hold compressed clusters');
  const noted = image.markDirty(guest, image.geometry.clusterSize);
  if (isPromise(noted)) await noted;
  await writableL2(image, guest);
  const offset = await image.allocator.allocateBytes(coded.length);
  image.compressed = true;
  image.file.debugEvent?.('write_compressed');
  await image.file.write(offset, coded);
  const table = await writableL2(image, guest);
  image.file.debugEvent?.('l2_update_compressed');
  const at = entryPosition(image, guest);
  releaseOld(image, table, at, undefined);
  setCompressed(image.geometry, table.view, at, offset, coded.length);
  image.newData.arm();
  image.l2.markDirty(table);
}
