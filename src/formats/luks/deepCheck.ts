/** Structure check of LUKS volumes: what opening does not look at, because a volume can be opened all the same. */
import { isZero } from '../../base/zero.ts';
import type { Checker } from '../../block/capabilities.ts';
import { StructureCheck } from '../../block/kit/structureCheck.ts';
import { keyMaterialLength, LUKS_HEADER_LENGTH, type LuksHeader } from '../../crypto/luks/header.ts';
import { volumeKeyLength } from '../../crypto/spec.ts';
import type { Storage } from '../../storage/storage.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The checker of a volume: a key slot is in use, and the key material of those that are is there.
 * @param storage holds the header.
 * @param header the header now; `amend` changes it.
 * @param detached the encrypted sectors are elsewhere.
 */
export function deepCheckerOf(storage: Storage, header: () => LuksHeader, detached: boolean): Checker {
  return {
    deepOnly: true,
    repairs: false,
    async check(_, report) {
      const { slots, spec, payloadOffset, uuid } = header();
      const check = new StructureCheck(report, storage.size());
      check.claim('the header', 0, LUKS_HEADER_LENGTH);
      if (!UUID.test(uuid)) check.damage('the UUID is malformed');
      if (!slots.some(({ active }) => active)) check.damage('no key slot is active: nothing can decrypt the disk');
      const material = new Uint8Array(keyMaterialLength(volumeKeyLength(spec)));
      for (const [index, { active, keyOffset }] of slots.entries()) {
        if (!active) continue;
        const who = `key material of slot ${index}`;
        if (!check.claim('key material', keyOffset, material.length, who)) continue;
        await storage.read(keyOffset, material);
        if (isZero(material)) check.damage(`${who} was wiped`);
      }
      if (!detached) check.claim('the encrypted disk', payloadOffset, Math.max(0, storage.size() - payloadOffset));
      return check.finish(undefined);
    },
  };
}
