/** Changing the key slots of a volume: `amend -o state=...`. */
import type { MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError, invalidArgument } from '../../base/error.ts';
import type { CryptoPort } from '../crypto.ts';
import { volumeKeyLength } from '../spec.ts';
import { iterationsFor, measurePbkdf } from './calibrate.ts';
import { LUKS_SLOTS } from './header.ts';
import { eraseSlot, type LuksIo, unlockSlot, writeKeyMaterial, writeSlotEntry } from './keyslot.ts';
import { DEFAULT_ITER_TIME, type LuksVolume } from './volume.ts';

/** A passphrase that is looked up when it is needed: only then does an unknown one matter. */
type PassphraseSource = () => MaybePromise<Uint8Array>;

/** Options of an amendment. */
export interface LuksAmendment {
  /** `active` adds a key, `inactive` erases keys. */
  readonly state: 'active' | 'inactive';
  readonly newSecret?: PassphraseSource;
  readonly oldSecret?: PassphraseSource;
  readonly keyslot?: number;
  /** Milliseconds, as for creation. */
  readonly iterTime?: number;
  /** Allow what loses the data: overwriting a slot, erasing the last one. */
  readonly force?: boolean;
}

/**
 * Adds a passphrase or erases key slots.
 * @param volume unlocked, for its master key; its header is that of the file.
 * @returns the volume with its new header.
 */
export async function amendLuks(
  port: CryptoPort,
  io: LuksIo,
  volume: LuksVolume,
  amendment: LuksAmendment,
): Promise<LuksVolume> {
  return await (amendment.state === 'active' ? addKey : eraseKeys)(port, io, volume, amendment);
}

type Amend = typeof amendLuks;

/** @param signed shows numbers as the real tool does when it erases slots: in 32 bits with a sign. */
function checkSlot(keyslot: number | undefined, signed: boolean): void {
  if (keyslot === undefined || (keyslot >= 0 && keyslot < LUKS_SLOTS)) return;
  let shown = keyslot;
  if (signed && keyslot >= 2 ** 31 && keyslot < 2 ** 32) shown -= 2 ** 32;
  if (!signed && keyslot < 0) shown += 2 ** 32;
  throw invalidArgument(`Invalid keyslot ${shown} specified, must be between 0 and ${LUKS_SLOTS - 1}`);
}

/** Iterations of a slot; where there cannot be so many, the error says which slot was meant. */
function iterationsOfSlot(rate: number, iterTime: number | undefined, slot: number): number {
  try {
    return iterationsFor(rate, iterTime ?? DEFAULT_ITER_TIME);
  } catch (thrown) {
    const { kind, message, code, strerror } = asBlockError(thrown);
    throw new BlockError(kind, message, {
      hint: `Failed to write to keyslot ${slot}`,
      cause: thrown,
      posix: { code, text: strerror },
    });
  }
}

const addKey: Amend = async (port, io, volume, { newSecret, oldSecret, keyslot, iterTime, force }) => {
  const { header, masterKey } = volume;
  if (!newSecret) throw invalidArgument("'new-secret' is required to activate a keyslot");
  if (oldSecret) throw invalidArgument("'old-secret' must not be given when activating keyslots");
  checkSlot(keyslot, false);
  if (keyslot !== undefined && header.slots[keyslot]!.active && !force) {
    throw invalidArgument(`Refusing to overwrite active keyslot ${keyslot} - please erase it first`);
  }
  const index = keyslot ?? header.slots.findIndex((slot) => !slot.active);
  if (index < 0) throw invalidArgument("Can't add a keyslot - all keyslots are in use");
  const passphrase = await newSecret();
  const speed = await measurePbkdf(port, header.hash);
  const iterations = iterationsOfSlot(speed.rate(volumeKeyLength(header.spec)), iterTime, index);
  const { keyOffset } = header.slots[index]!;
  const slot = await writeKeyMaterial(port, io, header, keyOffset, iterations, masterKey, passphrase);
  await writeSlotEntry(io, index, slot);
  return { ...volume, header: { ...header, slots: header.slots.with(index, slot) } };
};

const eraseKeys: Amend = async (port, io, volume, amendment) => {
  if (amendment.newSecret) throw invalidArgument("'new-secret' must not be given when erasing keyslots");
  if (amendment.iterTime !== undefined) throw invalidArgument("'iter-time' must not be given when erasing keyslots");
  const doomed = await chooseSlots(port, io, volume, amendment);
  const slots = [...volume.header.slots];
  for (const index of doomed) slots[index] = await eraseSlot(port, io, volume.header, index);
  return { ...volume, header: { ...volume.header, slots } };
};

/** The slots to erase. Throws if that would be none, or would lose the data and is not forced. */
async function chooseSlots(
  port: CryptoPort,
  io: LuksIo,
  { header }: LuksVolume,
  { oldSecret, keyslot, force }: LuksAmendment,
): Promise<readonly number[]> {
  const passphrase = await oldSecret?.();
  const matches = async (index: number): Promise<boolean> => {
    const slot = header.slots[index]!;
    return (
      passphrase !== undefined && slot.active && (await unlockSlot(port, io, header, slot, passphrase)) !== undefined
    );
  };
  const active = header.slots.filter((slot) => slot.active).length;
  if (keyslot !== undefined) {
    checkSlot(keyslot, true);
    if (passphrase && !(await matches(keyslot))) {
      throw invalidArgument(`Given keyslot ${keyslot} doesn't contain the given old password for erase operation`);
    }
    if (!force && !header.slots[keyslot]!.active) {
      // The blank at the end is the real tool's.
      throw invalidArgument(`Given keyslot ${keyslot} is already erased (inactive) `);
    }
    if (!force && active === 1) {
      throw invalidArgument(
        `Attempt to erase the only active keyslot ${keyslot} which will erase all the data in the image irreversibly - refusing operation`,
      );
    }
    return [keyslot];
  }
  if (!passphrase) {
    throw invalidArgument(
      'To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given',
    );
  }
  const found: number[] = [];
  for (let i = 0; i < LUKS_SLOTS; i++) if (await matches(i)) found.push(i);
  if (found.length === 0) throw invalidArgument('No keyslots match given (old) password for erase operation');
  if (found.length === active && !force) {
    throw invalidArgument(
      'All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation',
    );
  }
  return found;
}
