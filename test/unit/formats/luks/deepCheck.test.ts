import { expect, it } from 'vitest';
import { luks } from '../../../../src/formats/luks/driver.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import { deepCheckOn, oneError, SOUND } from '../../../support/deepCheck.ts';
import { createEncrypted } from '../../../support/luks.ts';
import { storageOf } from '../../../support/vpcVhdx.ts';

const OPTIONS = { 'cipher-alg': 'aes-128', 'cipher-mode': 'cbc', 'iter-time': 0, 'key-secret': 'a', size: 1024 };
/** Where the header says what state the first slot is in, and where the disk begins. */
const SLOT_AT = 208;

it.each<[string, (bytes: Uint8Array) => Uint8Array, object]>([
  ['is sound', (bytes) => bytes, SOUND],
  [
    'has no slot',
    (bytes) =>
      bytes
        .fill(0, SLOT_AT, SLOT_AT + 2)
        .fill(0xde, SLOT_AT + 2, SLOT_AT + 3)
        .fill(0xad, SLOT_AT + 3, SLOT_AT + 4),
    oneError('no key slot is active: nothing can decrypt the disk'),
  ],
  ['lost a key', (bytes) => bytes.fill(0, 4096, 4096 + 64000), oneError('key material of slot 0 was wiped')],
  ['has no name', (bytes) => bytes.fill(0, 168, 208), oneError('the UUID is malformed')],
])('a LUKS volume that %s', async (_, change, found) => {
  const memory = new MemoryDriver(0);
  await createEncrypted(luks, storageOf(memory), OPTIONS);
  expect(await deepCheckOn(luks, change(memory.toBytes()))).toEqual(found);
});
