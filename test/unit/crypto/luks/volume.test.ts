import { describe, expect, test } from 'vitest';
import { mergeKey, splitKey } from '../../../../src/crypto/luks/afsplit.ts';
import { iterationsFor, measurePbkdf } from '../../../../src/crypto/luks/calibrate.ts';
import { LUKS_HEADER_LENGTH } from '../../../../src/crypto/luks/header.ts';
import { luksParameters, openLuks, readLuksHeader } from '../../../../src/crypto/luks/volume.ts';
import { nodeCrypto } from '../../../../src/host/node/crypto.ts';
import { hex } from '../hex.ts';
import { MemoryIo, makeVolume, passphrase, quickCrypto } from './fixture.ts';

describe('creating and opening', () => {
  test.each([
    ['aes-256', 'xts', 'plain64', 'sha256'],
    ['twofish-128', 'cbc', 'essiv', 'sha1'],
    ['serpent-128', 'ctr', 'plain', 'md5'],
    ['cast5-128', 'ecb', 'plain64', 'sm3'],
    // 24 * 4000 bytes are not whole sectors.
    ['aes-192', 'cbc', 'plain64', 'ripemd160'],
  ])('%s %s %s %s', async (cipherAlg, cipherMode, ivgenAlg, hashAlg) => {
    const parameters = luksParameters({ cipherAlg, cipherMode, ivgenAlg, hashAlg });
    const { port, io, volume } = await makeVolume(parameters);
    const header = await readLuksHeader(io);
    expect(header).toEqual(volume.header);
    const opened = await openLuks(port, io, header, passphrase('open'));
    expect(hex(opened.masterKey)).toBe(hex(volume.masterKey));
    const data = new Uint8Array(1024).fill(5);
    volume.cipher.encrypt(9, data);
    opened.cipher.decrypt(9, data);
    expect(data.every((byte) => byte === 5)).toBe(true);
    await expect(openLuks(port, io, header, passphrase('Open'))).rejects.toThrow(
      'Invalid password, cannot unlock any keyslot',
    );
  });

  test('the header is written last and the UUID is one', async () => {
    const { io, volume } = await makeVolume();
    expect(io.writes).toEqual([
      [4096, 64000],
      [0, LUKS_HEADER_LENGTH],
    ]);
    expect(volume.header.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('a detached header points to the beginning of the other file', async () => {
    const { io, volume } = await makeVolume({ detached: true });
    expect(volume.header.payloadOffset).toBe(0);
    expect((await readLuksHeader(io, true)).payloadOffset).toBe(0);
  });

  test('damaged key material opens nothing', async () => {
    const { port, io, volume } = await makeVolume();
    io.bytes[4096 + 33000]! ^= 1;
    await expect(openLuks(port, io, volume.header, passphrase('open'))).rejects.toThrow(/Invalid password/);
  });

  test('a header that asks for days of work is refused', async () => {
    const { port, io, volume } = await makeVolume();
    const slots = volume.header.slots.map((slot) => ({ ...slot, active: true, iterations: 0xffffffff }));
    const opening = openLuks(port, io, { ...volume.header, slots }, passphrase('open'));
    await expect(opening).rejects.toMatchObject({ kind: 'limit' });
    const strict = openLuks(port, io, volume.header, passphrase('open'), 1999);
    await expect(strict).rejects.toThrow('Unlocking needs 2000 PBKDF iterations, the limit is 1999');
  });

  test('a host without the hash says so', async () => {
    const port = { ...quickCrypto(), hasHash: () => false };
    const { io, volume } = await makeVolume();
    await expect(openLuks(port, io, volume.header, passphrase('open'))).rejects.toThrow(
      "Hash algorithm 'sha256' not supported",
    );
  });

  test('a file that is too short reads as zeroes', async () => {
    const { port, io, volume } = await makeVolume();
    io.bytes = io.bytes.slice(0, LUKS_HEADER_LENGTH);
    await expect(openLuks(port, io, volume.header, passphrase('open'))).rejects.toThrow(/Invalid password/);
    expect(() => readLuksHeader(new MemoryIo())).toThrow('Volume is not in LUKS format');
  });
});

describe('options', () => {
  test.each([
    [{ cipherAlg: 'rot13' }, "Parameter 'cipher-alg' does not accept value 'rot13'"],
    [{ cipherAlg: 'AES-256' }, "Parameter 'cipher-alg' does not accept value 'AES-256'"],
    [{ cipherAlg: '3des' }, "Algorithm '3des' not supported"],
    [{ cipherMode: 'gcm', hashAlg: 'x' }, "Parameter 'cipher-mode' does not accept value 'gcm'"],
    [{ ivgenAlg: 'benbi', ivgenHashAlg: 'x' }, "Parameter 'ivgen-alg' does not accept value 'benbi'"],
    [{ ivgenHashAlg: 'x', hashAlg: 'y' }, "Parameter 'ivgen-hash-alg' does not accept value 'x'"],
    [{ hashAlg: 'whirlpool' }, "Parameter 'hash-alg' does not accept value 'whirlpool'"],
    [{ cipherAlg: 'cast5-128', ivgenAlg: 'essiv' }, 'Cipher cast5-128 not supported with essiv'],
    [{ cipherAlg: 'cast5-128' }, 'Unsupported cipher mode xts'],
    [{ ivgenAlg: 'essiv', ivgenHashAlg: 'sha512' }, 'No AES cipher with key size 64 available'],
  ])('%o', (options, message) => {
    expect(() => luksParameters(options)).toThrow(message);
  });

  test('essiv takes SHA-256 unless told otherwise', () => {
    expect(luksParameters({ cipherMode: 'cbc', ivgenAlg: 'essiv' }).spec.ivgenHash).toBe('sha256');
    expect(luksParameters({ ivgenHashAlg: 'sha1' }).spec).toEqual({
      cipher: 'aes-256',
      mode: 'xts',
      ivgen: 'plain64',
      ivgenHash: 'sha1',
    });
  });
});

test.each([16, 20, 33, 64])('a key of %d bytes comes back from its stripes, and only from all of them', (length) => {
  const port = nodeCrypto();
  const key = Uint8Array.from({ length }, (_, i) => i + 1);
  const material = new Uint8Array(length * 50);
  splitKey(port, 'sha256', key, 50, material);
  expect(hex(mergeKey(port, 'sha256', material, length, 50))).toBe(hex(key));
  material[length * 20]! ^= 1;
  expect(hex(mergeKey(port, 'sha256', material, length, 50))).not.toBe(hex(key));
});

describe('calibrating', () => {
  test('iterations grow with the time, never below 1000', () => {
    expect(iterationsFor(3_000_000, 2000)).toBe(6_000_000);
    expect(iterationsFor(3_000_000, 2000, 8)).toBe(750_000);
    expect(iterationsFor(3_000_000, 0)).toBe(1000);
  });

  test('what the header cannot hold is refused', () => {
    expect(() => iterationsFor(6_400_000, 99999999999999)).toThrow(
      'PBKDF iterations 6400000 too large to scale: Numerical result out of range',
    );
    expect(() => iterationsFor(1_000_000, 4294967296)).toThrow(
      'PBKDF iterations 4294967296000 larger than 4294967295: Numerical result out of range',
    );
  });

  test('measures until the time means something; longer keys cost more', async () => {
    let time = 0;
    const counts: number[] = [];
    const speed = await measurePbkdf(
      {
        ...nodeCrypto(),
        cpuTime: () => time,
        pbkdf2: (_hash, _password, _salt, iterations, length) => {
          counts.push(iterations);
          // A thousand iterations a millisecond.
          time += iterations / 1000;
          return new Uint8Array(length);
        },
      },
      'sha256',
    );
    expect(counts).toEqual([8192, 16384, 32768]);
    expect([20, 32, 33, 64].map((length) => Math.round(speed.rate(length)))).toEqual([1e6, 1e6, 5e5, 5e5]);
  });
});
