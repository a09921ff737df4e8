/** What `info` shows of a LUKS volume. */
import type { LuksHeader } from './header.ts';
import { LUKS_STRIPES } from './header.ts';

/** A slot as `info` shows it. Plain data with the real tool's key names, in its order. */
type LuksSlotInfo =
  | { readonly active: true; readonly iters: number; readonly 'key-offset': number; readonly stripes: number }
  | { readonly active: false; readonly 'key-offset': number };

/** A volume as `info` shows it; `format` is there where LUKS is inside of another format. */
export type LuksInfo = { readonly [key: string]: string | number | boolean | readonly LuksSlotInfo[] };

/**
 * Format-specific data of a volume.
 * @param detached the header is in a file of its own.
 * @param embedded LUKS is inside of another format, which then names it.
 */
export function luksInfo(header: LuksHeader, where: { detached?: boolean; embedded?: boolean } = {}): LuksInfo {
  const { spec } = header;
  return {
    'ivgen-alg': spec.ivgen,
    'detached-header': where.detached ?? false,
    'hash-alg': header.hash,
    'cipher-alg': spec.cipher,
    uuid: header.uuid,
    ...(spec.ivgen === 'essiv' && spec.ivgenHash ? { 'ivgen-hash-alg': spec.ivgenHash } : {}),
    ...(where.embedded ? { format: 'luks' } : {}),
    'cipher-mode': spec.mode,
    slots: header.slots.map(({ active, iterations, keyOffset }) =>
      active
        ? { active, iters: iterations, 'key-offset': keyOffset, stripes: LUKS_STRIPES }
        : { active, 'key-offset': keyOffset },
    ),
    'payload-offset': header.payloadOffset,
    'master-key-iters': header.masterKeyIterations,
  };
}
