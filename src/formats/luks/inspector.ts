/** What a LUKS header says that matters before a passphrase is tried. */
import { asBlockError } from '../../base/error.ts';
import { bigEndian } from '../../base/bytes.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { LUKS_VERSION } from '../../crypto/luks/magic.ts';
import { readLuksHeader, unlockingCost } from '../../crypto/luks/volume.ts';
import { readAt } from '../../storage/storage.ts';
import { luksIo } from './header.ts';

/** Looks at the version, and at what a passphrase costs. */
export const inspect: FormatInspector = async (file, inspection) => {
  const version = bigEndian(await readAt(file, 0, 8)).u16(6);
  if (version !== LUKS_VERSION) {
    inspection.fail('features', `LUKS version ${version} is unknown`);
    return;
  }
  try {
    const cost = unlockingCost(await readLuksHeader(luksIo(file)));
    if (cost > inspection.limits.keyIterations) inspection.fail('encryption', `a passphrase costs ${cost} iterations`);
    else inspection.note('encryption', 'the content is encrypted, and was not looked at');
  } catch (thrown) {
    inspection.fail('encryption', asBlockError(thrown).message);
  }
};
