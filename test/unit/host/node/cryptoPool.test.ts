import { expect, it } from 'vitest';
import type { SectorWork } from '../../../../src/crypto/crypto.ts';
import { sectorCipher } from '../../../../src/crypto/sectorCipher.ts';
import type { CipherSpec } from '../../../../src/crypto/spec.ts';
import { nodeCrypto } from '../../../../src/host/node/crypto.ts';
import { cryptSectors } from '../../../../src/host/node/cryptoPool.ts';
import { sectorsTask } from '../../../../src/host/node/cryptoTasks.ts';
import { WorkerPool } from '../../../../src/host/node/pool.ts';

const XTS: CipherSpec = { cipher: 'aes-256', mode: 'xts', ivgen: 'plain64' };
const ESSIV: CipherSpec = { cipher: 'aes-256', mode: 'cbc', ivgen: 'essiv', ivgenHash: 'sha256' };
const SERPENT: CipherSpec = { cipher: 'serpent-128', mode: 'ctr', ivgen: 'plain' };
const key = Uint8Array.from({ length: 64 }, (_, i) => i * 7);

const cases: readonly (readonly [string, CipherSpec, number, number])[] = [
  ['xts', XTS, 64, 3 * 1048576 + 512],
  ['essiv', ESSIV, 32, 1048576],
  ['serpent', SERPENT, 16, 200 * 1024],
];

it.each(cases)('%s in pieces is what it is at once', async (_name, spec, keyLength, length) => {
  const own = sectorCipher(nodeCrypto(), spec, key.subarray(0, keyLength));
  const plain = Uint8Array.from({ length }, (_, i) => i >> 5);
  const expected = plain.slice();
  own.encrypt(9, expected);
  const pool = new WorkerPool({ worker: undefined });
  const data = plain.slice();
  const work: Omit<SectorWork, 'decrypt'> = { spec, key: key.subarray(0, keyLength), sector: 9, data };
  await cryptSectors(pool, { ...work, decrypt: false });
  expect(Buffer.compare(data, expected)).toBe(0);
  await cryptSectors(pool, { ...work, decrypt: true });
  expect(Buffer.compare(data, plain)).toBe(0);
  await pool.close();
});

it('tells volumes apart, however many there are', () => {
  const results = new Set<string>();
  for (let round = 0; round < 2; round++) {
    for (let volume = 0; volume < 7; volume++) {
      const data = new Uint8Array(512);
      const spec = volume % 2 === 0 ? XTS : { ...XTS, ivgen: 'plain' as const };
      const volumeKey = key.map((byte) => byte ^ (volume >> 1));
      void sectorsTask.run({ spec, key: volumeKey, decrypt: false, sector: 2 ** 32 + 5, data });
      results.add(Buffer.from(data).toString('hex'));
    }
  }
  expect(results.size).toBe(7);
});

it('moves memory back that was moved to it, and leaves shared memory where it is', () => {
  const moved = new Uint8Array(512);
  expect(sectorsTask.transfer?.(moved)).toEqual([moved.buffer]);
  expect(sectorsTask.transfer?.(new Uint8Array(new SharedArrayBuffer(512)))).toEqual([]);
});
