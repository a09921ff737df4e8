import { crc32 as crc32OfZlib } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { adler32, crc32, crc32c } from '../../../src/codec/checksums.ts';
import { because } from '../../support/skip.ts';

const CHECK = utf8Bytes('123456789');

describe('checksums', () => {
  it('yield the check values of their definitions', () => {
    expect(crc32(CHECK)).toBe(0xcbf43926);
    expect(crc32c(CHECK)).toBe(0xe3069283);
    expect(adler32(CHECK)).toBe(0x091e01de);
    // RFC 3720, appendix B.4
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect([crc32(new Uint8Array(0)), crc32c(new Uint8Array(0)), adler32(new Uint8Array(0))]).toEqual([0, 0, 1]);
  });

  it('can be taken piece by piece', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        for (const sum of [crc32, crc32c, adler32]) {
          expect(sum(bytes.subarray(cut), sum(bytes.subarray(0, cut)))).toBe(sum(bytes));
        }
      }),
    );
  });

  const lack = typeof crc32OfZlib === 'function' ? undefined : 'this Node has no zlib.crc32 (Node 22 has)';
  it.skipIf(lack !== undefined)(`agree with zlib${because(lack)}`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        expect(crc32(bytes)).toBe(crc32OfZlib(bytes));
      }),
    );
  });

  it('stay exact over long runs of large bytes', () => {
    // Sums of 0xff: a = 1 + 255 n, b = n + 255 n (n + 1) / 2.
    const n = 1_000_003;
    const b = (BigInt(n) + (255n * BigInt(n) * BigInt(n + 1)) / 2n) % 65521n;
    expect(adler32(new Uint8Array(n).fill(255))).toBe(Number(b) * 65536 + ((1 + 255 * n) % 65521));
  });
});
