/** What `info` says about a qcow2 image. */
import type { FormatInfo, InfoValue } from '../../block/capabilities.ts';
import { luksInfo } from '../../crypto/luks/info.ts';
import { isRawDataFile } from './structure/header.ts';
import type { Qcow2State } from './state.ts';
import { Compatible, Incompatible } from './structure/layout.ts';

/** Parts of the information that others know. */
export interface InfoParts {
  /** Value of `bitmaps`; undefined: the image has none. */
  readonly bitmaps?: InfoValue | undefined;
}

/** Information of an open image. */
export function infoOf(image: Qcow2State, parts: InfoParts = {}): FormatInfo {
  const { header } = image;
  return {
    clusterSize: image.geometry.clusterSize,
    dirty: (header.incompatible & Incompatible.dirty) !== 0,
    ...(header.cryptMethod === 0 ? {} : { encrypted: true }),
    specific: { type: 'qcow2', data: header.version === 2 ? oldData(image) : newData(image, parts) },
  };
}

function encryptOf(image: Qcow2State): { [key: string]: InfoValue } {
  switch (image.header.cryptMethod) {
    case 0:
      return {};
    case 1:
      return { encrypt: { format: 'aes' } };
    default:
      return { encrypt: image.luksHeader ? luksInfo(image.luksHeader, { embedded: true }) : { format: 'luks' } };
  }
}

function compressionName(image: Qcow2State): string {
  return image.header.compressionType === 1 ? 'zstd' : 'zlib';
}

function oldData(image: Qcow2State): { [key: string]: InfoValue } {
  return {
    compat: '0.10',
    'compression-type': compressionName(image),
    'refcount-bits': image.refcounts.bits,
    ...encryptOf(image),
  };
}

function newData(image: Qcow2State, parts: InfoParts): { [key: string]: InfoValue } {
  const { header } = image;
  const external = image.geometry.external;
  return {
    compat: '1.1',
    'compression-type': compressionName(image),
    'lazy-refcounts': (header.compatible & BigInt(Compatible.lazyRefcounts)) !== 0n,
    ...(parts.bitmaps === undefined ? {} : { bitmaps: parts.bitmaps }),
    'refcount-bits': image.refcounts.bits,
    ...encryptOf(image),
    // The name is told even where the image says that it does not use it.
    ...(header.dataFileName === undefined ? {} : { 'data-file': header.dataFileName }),
    ...(external ? { 'data-file-raw': isRawDataFile(header) } : {}),
    corrupt: (header.incompatible & Incompatible.corrupt) !== 0,
    'extended-l2': image.geometry.extended,
  };
}
