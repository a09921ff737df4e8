/** Entries of refcount blocks, without I/O. */
import { BlockError, invalidImage } from '../../../base/error.ts';
import { MAX_REFTABLE_BYTES, TWO32 } from './layout.ts';

/** The refcount entry `index` of a block with entries of `bits` bits. Wide entries lose precision above 2^53. */
export function getRefcount(view: DataView, bits: number, index: number): number {
  switch (bits) {
    case 8:
      return view.getUint8(index);
    case 16:
      return view.getUint16(index * 2);
    case 32:
      return view.getUint32(index * 4);
    case 64:
      return view.getUint32(index * 8) * TWO32 + view.getUint32(index * 8 + 4);
    default: {
      // Below eight bits the first entry is in the least significant bits of its byte.
      const bit = index * bits;
      return (view.getUint8(bit >>> 3) >>> (bit & 7)) & (2 ** bits - 1);
    }
  }
}

/** The exact decimal text of what {@link getRefcount} gives. */
export function refcountText(view: DataView, bits: number, index: number): string {
  return bits === 64 ? String(view.getBigUint64(index * 8)) : String(getRefcount(view, bits, index));
}

/** Stores a refcount entry; `value` has to fit. */
export function setRefcount(view: DataView, bits: number, index: number, value: number): void {
  switch (bits) {
    case 8:
      return view.setUint8(index, value);
    case 16:
      return view.setUint16(index * 2, value);
    case 32:
      return view.setUint32(index * 4, value);
    case 64:
      view.setUint32(index * 8, Math.floor(value / TWO32));
      return view.setUint32(index * 8 + 4, value % TWO32);
    default: {
      const bit = index * bits;
      const mask = (2 ** bits - 1) << (bit & 7);
      view.setUint8(bit >>> 3, (view.getUint8(bit >>> 3) & ~mask) | (value << (bit & 7)));
    }
  }
}

/** A reference to where no refcount is, or can be: the error that the real tool ends with. */
export function noRefcount({ perBlock }: { readonly perBlock: number }, cluster: number): BlockError {
  if (cluster >= (MAX_REFTABLE_BYTES / 8) * perBlock) return new BlockError('too-large', 'File too large');
  const text = 'Resource temporarily unavailable';
  return invalidImage(text, { posix: { code: 'EAGAIN', text } });
}
