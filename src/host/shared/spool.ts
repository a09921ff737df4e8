/** Spools over files of a host. */
import { BlockError } from '../../base/error.ts';
import { humanSize } from '../../base/size.ts';
import type { SpoolPort } from '../../block/spool.ts';
import type { SpoolStorage } from '../../storage/forward.ts';
import type { FileDraft, FileHandle } from '../../storage/files.ts';

/** Where spools are, and how much they may hold. */
export interface SpoolPlace {
  /** Bytes of all spools that are open at the same time. */
  readonly limit: number;
  /** A new file without a name, or with one that is gone with `discard`. */
  begin(): Promise<{ readonly draft: FileDraft; readonly handle: FileHandle }>;
}

/** Spools of one place. */
export function spools(place: SpoolPlace): SpoolPort {
  let used = 0;
  const take = (bytes: number): void => {
    used += bytes;
    if (used > place.limit) {
      throw new BlockError('no-space', `The spool file would need more than ${humanSize(place.limit)} (its limit)`);
    }
  };
  return {
    async create(): Promise<SpoolStorage> {
      const { draft, handle } = await place.begin();
      let own = 0;
      return {
        limits: handle.limits,
        size: () => handle.size(),
        read: (offset, into) => readPadded(handle, offset, into),
        async write(offset, from) {
          own += from.length;
          take(from.length);
          await handle.write?.(offset, from);
        },
        truncate: (size, preallocation) => handle.truncate?.(size, preallocation),
        async close() {
          used -= own;
          own = 0;
          await handle.close();
          await draft.discard();
        },
      };
    },
  };
}

async function readPadded(handle: FileHandle, offset: number, into: Uint8Array): Promise<void> {
  const there = Math.max(0, Math.min(into.length, handle.size() - offset));
  into.fill(0, there);
  if (there > 0) await handle.read(offset, into.subarray(0, there));
}
