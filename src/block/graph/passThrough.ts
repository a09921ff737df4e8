/** A protocol opened where an image is expected (`driver=file` at the top): its bytes are the guest's. */
import { unsupported } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { ImageDriver } from '../capabilities.ts';
import type { ProtocolStorage } from '../protocol.ts';
import { ImageNode, type Reopen } from '../node/node.ts';

/** How an image stands in front of a storage. */
export interface PassThroughSettings {
  /** Nothing is flushed. */
  readonly unsafe?: boolean;
  /** As `FilterDriver.opaque`. */
  readonly opaque?: boolean;
}

/** An image whose guest bytes are those of `storage`. */
export function passThroughDriver(storage: ProtocolStorage, how: PassThroughSettings = {}): ImageDriver {
  const { unsafe = false, opaque = false } = how;
  return {
    get virtualSize() {
      return alignUp(storage.size(), SECTOR);
    },
    limits: storage.limits,
    map: (offset, length) =>
      opaque
        ? { kind: 'special', length, compressed: false, encrypted: false }
        : { kind: 'data', length, storage, offset, sparse: true },
    readSpecial: (offset, into) => storage.readPadded(offset, into),
    writing: {
      allocate: (offset, length) => ({ start: offset, length, storage, offset, fresh: false }),
      writeZeroes: (offset, length, flags) => storage.writeZeroes(offset, length, flags),
      discard: (offset, length) => storage.discard(offset, length),
      resize: async (size, preallocation) => {
        if (storage.fixed !== undefined && size !== alignUp(storage.size(), SECTOR)) throw unsupported(storage.fixed);
        await storage.truncate(size, preallocation);
      },
    },
    flush: () => (unsafe ? undefined : storage.flush()),
    close: () => storage.close(),
    info: () => storage.described ?? {},
    quirks: storage.quirks ?? {},
    allocatedSize: () => storage.allocatedSize(),
  };
}

/** An image node whose guest bytes are those of `storage`. @param format the protocol's name. */
export function passThrough(storage: ProtocolStorage, format: string, reopen?: Reopen): ImageNode {
  return new ImageNode({
    name: storage.name,
    format,
    driver: passThroughDriver(storage),
    readOnly: storage.readOnly,
    ...(reopen ? { reopen } : {}),
  });
}
