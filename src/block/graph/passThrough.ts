/** A protocol opened where an image is expected (`driver=file` at the top): its bytes are the guest's. */
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { ImageDriver, Writing } from '../capabilities.ts';
import type { Preallocation } from '../../storage/storage.ts';
import type { ProtocolStorage } from '../protocol.ts';
import { ImageNode, type Reopen } from '../node/node.ts';

/** An image whose guest bytes are those of `storage`. */
export function passThroughDriver(storage: ProtocolStorage): ImageDriver {
  return {
    ...plainDriver(storage),
    map: (offset, length) => ({ kind: 'data', length, storage, offset, sparse: true }),
    info: () => storage.described ?? {},
    quirks: storage.quirks ?? {},
  };
}

/** All of an image but where its bytes are. */
type PlainDriver = Omit<ImageDriver, 'map' | 'info' | 'writing'> & { readonly writing: Writing };

/** What every image has whose guest bytes are those of `storage`. @param how `unsafe`: nothing is flushed. */
export function plainDriver(
  storage: ProtocolStorage,
  how: { readonly unsafe?: boolean; readonly resizable?: boolean } = {},
): PlainDriver {
  const { unsafe = false, resizable = true } = how;
  return {
    get virtualSize() {
      return alignUp(storage.size(), SECTOR);
    },
    limits: storage.limits,
    writing: {
      allocate: (offset, length) => ({ start: offset, length, storage, offset, fresh: false }),
      writeZeroes: (offset, length, flags) => storage.writeZeroes(offset, length, flags),
      discard: (offset, length) => storage.discard(offset, length),
      ...(resizable ? { resize: (size, preallocation) => resize(storage, size, preallocation) } : {}),
    },
    flush: () => (unsafe ? undefined : storage.flush()),
    close: () => storage.close(),
    allocatedSize: () => storage.allocatedSize(),
    debugEvent: storage.debugEvent,
  };
}

async function resize(storage: ProtocolStorage, size: number, preallocation: Preallocation): Promise<void> {
  if (storage.fixed && size !== alignUp(storage.size(), SECTOR)) throw storage.fixed();
  await storage.truncate(size, preallocation);
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
