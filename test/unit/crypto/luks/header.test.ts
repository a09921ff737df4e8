import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { bigEndian } from '../../../../src/base/bytes.ts';
import { BlockError } from '../../../../src/base/error.ts';
import {
  encodeLuksHeader,
  LUKS_HEADER_LENGTH,
  newKeyOffset,
  newPayloadOffset,
  parseLuksHeader,
} from '../../../../src/crypto/luks/header.ts';
import { isLuks } from '../../../../src/crypto/luks/magic.ts';
import { luksInfo } from '../../../../src/crypto/luks/info.ts';
import { luksParameters } from '../../../../src/crypto/luks/volume.ts';
import { hex, unhex } from '../hex.ts';
import { makeVolume } from './fixture.ts';

let good: Uint8Array;

beforeAll(async () => {
  const { io } = await makeVolume(luksParameters());
  good = io.bytes.slice(0, LUKS_HEADER_LENGTH);
});

/** A header with bytes replaced: offset, digits, offset, digits... */
function damaged(...changes: (number | string)[]): Uint8Array {
  const bytes = good.slice();
  for (let i = 0; i < changes.length; i += 2) bytes.set(unhex(String(changes[i + 1])), Number(changes[i]));
  return bytes;
}

function text(value: string): string {
  return Buffer.from(`${value}\0`).toString('hex');
}

const NO_NUL = '41'.repeat(32);
const AES_256_CBC = [108, '00000020'] as const;

describe('damaged headers are refused with the real words', () => {
  test.each<[string, readonly (number | string)[]]>([
    ['Volume is not in LUKS format', [0, '00']],
    ['LUKS version 2 is not supported', [6, '0002']],
    ['LUKS header cipher name is not NUL terminated', [8, NO_NUL, 40, NO_NUL]],
    ['LUKS header cipher mode is not NUL terminated', [40, NO_NUL, 72, NO_NUL]],
    ['LUKS header hash spec is not NUL terminated', [72, NO_NUL, 104, '00000001']],
    ['LUKS payload is overlapping with the header', [104, '00000007', 164, '00000000']],
    ['LUKS key iteration count is zero', [164, '00000000', 208, '12345678']],
    ['Keyslot 0 is corrupted (stripes 1 != 4000)', [208, '12345678', 252, '00000001']],
    ['Keyslot 1 is corrupted (stripes -1 != 4000)', [300, 'ffffffff']],
    ['Keyslot 0 state (active/disable) is corrupted', [208, '12345678', 248, '00000000']],
    ['Keyslot 0 iteration count is zero', [212, '00000000', 248, '00000000']],
    ['Keyslot 0 is overlapping with the LUKS header', [248, '00000007', 256, '12345678']],
    ['Keyslot 7 is overlapping with the encrypted payload', [104, '00000fc0']],
    ['Keyslot 0 is overlapping with the encrypted payload', [248, 'ffffffff']],
    ['Keyslots 0 and 1 are overlapping in the header', [248, '00000201', 256, '12345678']],
    ['Keyslots 0 and 1 are overlapping in the header', [108, '00000041']],
    ['Keyslot 7 state (active/disable) is corrupted', [544, '12345678', 40, text('ecb')]],
    ["Unexpected cipher mode string format 'ecb'", [40, text('ecb'), 72, text('sha5')]],
    ["Hash algorithm 'bogus' not supported", [40, text('xtc-plian:bogus'), 8, text('abs')]],
    ["Cipher mode '' not supported", [40, text('-plain')]],
    ["Cipher mode 'xtc' not supported", [40, text('xtc-benbi'), 8, text('abs')]],
    ["Algorithm 'abs' with key size 32 bytes not supported", [8, text('abs'), 72, text('sha5')]],
    ["Algorithm 'aes' with key size 64 bytes not supported", [40, text('cbc-plain')]],
    ["Algorithm 'cast5' with key size 8 bytes not supported", [8, text('cast5'), 108, '00000010']],
    ["Algorithm 'aes' with key size 0 bytes not supported", [108, '00000000']],
    ["Hash algorithm '' not supported", [72, '00', 40, text('xts-benbi')]],
    ["IV generator 'plain-64' not supported", [40, text('xts-plain-64')]],
    ['Missing IV generator hash specification', [40, text('cbc-essiv'), ...AES_256_CBC]],
    ["Hash algorithm '' not supported", [40, text('cbc-essiv:'), ...AES_256_CBC]],
    ['No AES cipher with key size 20 available', [40, text('cbc-essiv:sha1'), ...AES_256_CBC]],
  ])('%s', (message, changes) => {
    const parse = (): unknown => parseLuksHeader(damaged(...changes));
    expect(parse).toThrow(BlockError);
    expect(parse).toThrow(message);
  });
});

test('a hash behind a generator that needs none is kept', () => {
  const header = parseLuksHeader(damaged(40, text('xts-plain64:sha1')));
  expect(header.spec).toEqual({ cipher: 'aes-256', mode: 'xts', ivgen: 'plain64', ivgenHash: 'sha1' });
  expect(hex(encodeLuksHeader(header).subarray(40, 57))).toBe(text('xts-plain64:sha1'));
});

test('a header that stands alone has no payload to overlap with', () => {
  const alone = damaged(104, '00000000');
  expect(() => parseLuksHeader(alone)).toThrow(/payload/);
  expect(parseLuksHeader(alone, true).payloadOffset).toBe(0);
});

test('encoding undoes parsing', () => {
  expect(hex(encodeLuksHeader(parseLuksHeader(good)))).toBe(hex(good));
});

/** `same` if the header encodes to something that means the same, the kind of error if it is refused. */
function outcome(bytes: Uint8Array): string {
  try {
    const header = parseLuksHeader(bytes);
    const again = parseLuksHeader(encodeLuksHeader(header));
    // A UUID that is not UTF-8 is shown as well as can be, and does not come back.
    return JSON.stringify({ ...again, uuid: '' }) === JSON.stringify({ ...header, uuid: '' }) ? 'same' : 'different';
  } catch (error) {
    return error instanceof BlockError ? 'BlockError' : String(error);
  }
}

test('random damage ends in a BlockError or in a header that encodes to what was read', () => {
  const change = fc.tuple(fc.integer({ min: 0, max: LUKS_HEADER_LENGTH - 1 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = good.slice();
      for (const [at, value] of changes) bytes[at] = value;
      expect(outcome(bytes)).toMatch(/^(same|BlockError)$/);
    }),
    { numRuns: 300 },
  );
});

test('LUKS is recognized by magic and version', () => {
  expect(isLuks(good)).toBe(true);
  expect(isLuks(damaged(6, '0002'))).toBe(false);
  expect(isLuks(good.subarray(0, 7))).toBe(false);
});

test.each([
  ['aes-128', 'cbc', 69632, 528384],
  ['aes-256', 'cbc', 135168, 1052672],
  ['aes-128', 'xts', 135168, 1052672],
  ['aes-192', 'xts', 196608, 1544192],
  ['aes-256', 'xts', 262144, 2068480],
])('%s-%s lies where the real tool puts it', (cipherAlg, cipherMode, second, payload) => {
  const { spec } = luksParameters({ cipherAlg, cipherMode });
  expect([newKeyOffset(spec, 0), newKeyOffset(spec, 1), newPayloadOffset(spec)]).toEqual([4096, second, payload]);
});

describe('info', () => {
  test('has the keys and the order of the real tool', () => {
    const header = parseLuksHeader(damaged(40, text('cbc-essiv:sha256'), ...AES_256_CBC, 168, text('a-b-c')));
    const info = luksInfo(header, { embedded: true });
    expect(Object.keys(info).join(' ')).toBe(
      'ivgen-alg detached-header hash-alg cipher-alg uuid ivgen-hash-alg format cipher-mode slots payload-offset master-key-iters',
    );
    expect(info).toMatchObject({ 'cipher-alg': 'aes-256', 'payload-offset': 2068480, uuid: 'a-b-c', format: 'luks' });
  });

  test('names neither format nor IV hash where there is nothing to name', () => {
    const fields = bigEndian(good);
    expect(luksInfo(parseLuksHeader(good))).toEqual({
      'ivgen-alg': 'plain64',
      'detached-header': false,
      'hash-alg': 'sha256',
      'cipher-alg': 'aes-256',
      uuid: fields.latin1(168, 40),
      'cipher-mode': 'xts',
      slots: [
        { active: true, iters: 1000, 'key-offset': 4096, stripes: 4000 },
        ...[262144, 520192, 778240, 1036288, 1294336, 1552384, 1810432].map((offset) => ({
          active: false,
          'key-offset': offset,
        })),
      ],
      'payload-offset': 2068480,
      'master-key-iters': 1000,
    });
  });
});
