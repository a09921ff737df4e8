/** What sizes of requests an export takes. */
import { alignDown, MiB } from '../../base/offset.ts';
import type { Limits } from '../../storage/storage.ts';
import type { Export } from './handshake.ts';
import { MAX_TRANSFER } from './numbers.ts';

/** Longest request without data where lengths have 32 bits; the real tool's number. */
const MAX_PLAIN = 2147483647;

/** Both sides copy what they move: with longer requests each of them reads memory again that it has just written. */
const QUICK = MiB;

/** The limits of an export, as the real tool shows them. */
export function limitsOf({ blockSizes, form }: Export): Limits {
  const minimum = blockSizes?.minimum ?? 1;
  const maxTransfer = Math.min(MAX_TRANSFER, blockSizes?.maximum ?? MAX_TRANSFER);
  return {
    requestAlignment: minimum,
    ...(blockSizes ? { optimalTransfer: blockSizes.preferred } : {}),
    minMemoryAlignment: 512,
    maxTransfer,
    quickTransfer: QUICK,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
    ...(form === 'extended' ? {} : { maxWriteZeroes: maxTransfer, maxDiscard: alignDown(MAX_PLAIN, minimum) }),
  };
}
