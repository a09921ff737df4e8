import { beforeEach, describe, expect, test } from 'vitest';
import type { CryptoPort } from '../../../../src/crypto/crypto.ts';
import { amendLuks, type LuksAmendment } from '../../../../src/crypto/luks/amend.ts';
import { LUKS_HEADER_LENGTH, slotPosition } from '../../../../src/crypto/luks/header.ts';
import { type LuksVolume, openLuks, readLuksHeader } from '../../../../src/crypto/luks/volume.ts';
import { hex } from '../hex.ts';
import { type MemoryIo, makeVolume, passphrase } from './fixture.ts';

const secret = (text: string) => (): Uint8Array => passphrase(text);
const absent = (): never => {
  throw new Error('looked up');
};

let port: CryptoPort;
let io: MemoryIo;
let volume: LuksVolume;

beforeEach(async () => {
  ({ port, io, volume } = await makeVolume());
  io.writes.length = 0;
});

/** Amends, checks that the result is what the header now says, and returns the active slots. */
async function amend(amendment: LuksAmendment): Promise<number[]> {
  volume = await amendLuks(port, io, volume, amendment);
  expect(await readLuksHeader(io)).toEqual(volume.header);
  return volume.header.slots.flatMap((slot, i) => (slot.active ? [i] : []));
}

async function opens(text: string): Promise<boolean> {
  return openLuks(port, io, volume.header, passphrase(text)).then(
    ({ masterKey }) => hex(masterKey) === hex(volume.masterKey),
    () => false,
  );
}

describe('adding', () => {
  test('takes the first free slot, writes material before entry', async () => {
    expect(await amend({ state: 'active', newSecret: secret('two'), iterTime: 0 })).toEqual([0, 1]);
    expect([await opens('open'), await opens('two'), await opens('three')]).toEqual([true, true, false]);
    expect(io.writes).toEqual([
      [69632, 64000],
      [slotPosition(1), 48],
    ]);
  });

  test('takes the slot that is asked for, an active one only by force', async () => {
    expect(await amend({ state: 'active', newSecret: secret('two'), keyslot: 5, iterTime: 0 })).toEqual([0, 5]);
    await expect(amend({ state: 'active', newSecret: secret('three'), keyslot: 5 })).rejects.toThrow(
      'Refusing to overwrite active keyslot 5 - please erase it first',
    );
    await amend({ state: 'active', newSecret: secret('three'), keyslot: 5, iterTime: 0, force: true });
    expect([await opens('open'), await opens('two'), await opens('three')]).toEqual([true, false, true]);
  });

  test('needs room', async () => {
    const slots = volume.header.slots.map((slot) => ({ ...slot, active: true }));
    volume = { ...volume, header: { ...volume.header, slots } };
    await expect(amend({ state: 'active', newSecret: absent })).rejects.toThrow(
      "Can't add a keyslot - all keyslots are in use",
    );
  });

  test.each<[string, Partial<LuksAmendment>]>([
    ["'new-secret' is required to activate a keyslot", { oldSecret: absent, keyslot: 9 }],
    ["'old-secret' must not be given when activating keyslots", { newSecret: absent, oldSecret: absent, keyslot: 9 }],
    ['Invalid keyslot 9 specified, must be between 0 and 7', { newSecret: absent, keyslot: 9 }],
    ['Invalid keyslot 4294967295 specified, must be between 0 and 7', { newSecret: absent, keyslot: -1 }],
    ['looked up', { newSecret: absent, iterTime: 99999999999999 }],
  ])('%s', async (message, options) => {
    await expect(amend({ state: 'active', ...options })).rejects.toThrow(message);
    expect(io.writes).toEqual([]);
  });
});

describe('erasing', () => {
  beforeEach(async () => {
    await amend({ state: 'active', newSecret: secret('two'), iterTime: 0 });
    io.writes.length = 0;
  });

  test('by passphrase takes every slot that it opens', async () => {
    await amend({ state: 'active', newSecret: secret('two'), keyslot: 6, iterTime: 0 });
    expect(await amend({ state: 'inactive', oldSecret: secret('two') })).toEqual([0]);
    expect([await opens('open'), await opens('two')]).toEqual([true, false]);
  });

  test('by number destroys the material and clears the entry', async () => {
    const before = io.bytes.slice(69632, 69632 + 64000);
    const rest = io.bytes.slice(LUKS_HEADER_LENGTH, 69632);
    expect(await amend({ state: 'inactive', keyslot: 1 })).toEqual([0]);
    expect(io.writes).toEqual([
      [69632, 64000],
      [slotPosition(1), 48],
    ]);
    const after = io.bytes.slice(69632, 69632 + 64000);
    const kept = after.filter((byte, i) => byte === before[i]).length;
    expect(kept).toBeLessThan(1000);
    expect(hex(io.bytes.slice(LUKS_HEADER_LENGTH, 69632)) === hex(rest)).toBe(true);
    expect(hex(io.bytes.subarray(slotPosition(1), slotPosition(2)))).toBe(`0000dead${'00'.repeat(36)}0000008800000fa0`);
  });

  test.each<[string, Partial<LuksAmendment>]>([
    ["'new-secret' must not be given when erasing keyslots", { newSecret: absent, iterTime: 1, keyslot: 9 }],
    ["'iter-time' must not be given when erasing keyslots", { oldSecret: absent, iterTime: 0, keyslot: 9 }],
    ['looked up', { oldSecret: absent, keyslot: 9 }],
    ['Invalid keyslot 8 specified, must be between 0 and 7', { keyslot: 8 }],
    ['Invalid keyslot -1 specified, must be between 0 and 7', { keyslot: -1 }],
    ['Given keyslot 4 is already erased (inactive) ', { keyslot: 4 }],
    [
      "Given keyslot 0 doesn't contain the given old password for erase operation",
      { keyslot: 0, oldSecret: secret('two'), force: true },
    ],
    [
      "Given keyslot 4 doesn't contain the given old password for erase operation",
      { keyslot: 4, oldSecret: secret('two') },
    ],
    ['No keyslots match given (old) password for erase operation', { oldSecret: secret('three') }],
    [
      'To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given',
      {},
    ],
  ])('%s', async (message, options) => {
    await expect(amend({ state: 'inactive', ...options })).rejects.toThrow(message);
    expect(io.writes).toEqual([]);
  });

  test('the last key goes by force only', async () => {
    await amend({ state: 'inactive', keyslot: 1, oldSecret: secret('two') });
    await expect(amend({ state: 'inactive', keyslot: 0 })).rejects.toThrow(
      'Attempt to erase the only active keyslot 0 which will erase all the data in the image irreversibly - refusing operation',
    );
    await expect(amend({ state: 'inactive', oldSecret: secret('open') })).rejects.toThrow(
      'All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation',
    );
    expect(await amend({ state: 'inactive', oldSecret: secret('open'), force: true })).toEqual([]);
    expect(await opens('open')).toBe(false);
  });
});
