import { describe, expect, it } from 'vitest';
import { bigEndian } from '../../../../src/base/bytes.ts';
import { encodeHeader } from '../../../../src/formats/qcow2/structure/encodeHeader.ts';
import type { Header } from '../../../../src/formats/qcow2/structure/header.ts';
import { parseHeader } from '../../../../src/formats/qcow2/structure/readHeader.ts';
import { probe } from '../../../../src/formats/qcow2/probe.ts';
import { headerOf, settingsOf } from '../../../../src/formats/qcow2/settings.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import { createOn } from './support.ts';
import { type CreateOptions, createOptions } from '../../../../src/formats/qcow2/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';

function header(options: Partial<CreateOptions> = {}): Header {
  const value = headerOf(settingsOf({ ...defaultsOf(createOptions), size: 1048576, ...options }));
  value.l1Entries = 1;
  value.l1Offset = 196608;
  return value;
}

/** First cluster of an image, with `hex` digits put over it. */
function damagedHeader(at: number, hex: string): Uint8Array {
  const bytes = new Uint8Array(65536);
  bytes.set(encodeHeader(header()));
  bytes.set(
    Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
    at,
  );
  return bytes;
}

describe('the qcow2 header', () => {
  it('survives encoding and parsing with everything in it', () => {
    const full = header({ compression_type: 'zstd', extended_l2: true, refcount_bits: 64, lazy_refcounts: true });
    full.backingFile = 'base ü.img';
    full.backingFormat = 'raw';
    full.bitmaps = { count: 2, size: 64, offset: 65536 * 7 };
    full.extensions = [{ type: 0x41414141, data: Uint8Array.of(1, 2, 3) }];
    const bytes = new Uint8Array(65536);
    bytes.set(encodeHeader(full));
    const parsed = parseHeader(bytes);
    expect(encodeHeader(parsed)).toEqual(encodeHeader(full));
    expect(parsed).toMatchObject({
      backingFile: 'base ü.img',
      backingFormat: 'raw',
      bitmaps: full.bitmaps,
      refcountOrder: 6,
    });
    expect(parsed.extensions).toEqual(full.extensions);
  });

  it('keeps header fields that it does not know', () => {
    const bytes = damagedHeader(100, '00000078');
    bytes.copyWithin(120, 112, 60000);
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 112);
    const parsed = parseHeader(bytes);
    expect([...parsed.unknownFields]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...encodeHeader(parsed).subarray(112, 120)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    [0, '00', 'Image is not in qcow2 format'],
    [4, '00000004', 'Unsupported qcow2 version 4'],
    [20, '00000008', 'Unsupported cluster size: 2^8'],
    [20, '00000020', 'Unsupported cluster size: 2^32'],
    [24, '4000000000000000', 'Image is too big'],
    [36, '7fffffff', 'Active L1 table too large'],
    [36, '00000000', 'L1 table is too small'],
    [40, '0000000000030100', 'Active L1 table offset invalid'],
    [40, '8000000000030000', 'Active L1 table offset invalid'],
    [48, '0000000000010200', 'Reference count table offset invalid'],
    [56, '00000081', 'Reference count table too large'],
    [60, '00010001', 'Snapshot table too large'],
    [60, '000000010000000000000070', 'Snapshot table offset invalid'],
    [8, '000000000002020000000005', 'Invalid backing file offset'],
    [8, '000000000000020000000400', 'Backing file name too long'],
    [32, '00000003', 'Unsupported encryption method 3'],
    [72, '8000000000000020', 'Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000020'],
    [79, '08', 'qcow2: Compression type incompatible feature bit must not be set'],
    [96, '00000007', 'Reference count entry width too large; may not exceed 64 bits'],
    [100, '00000064', 'qcow2 header too short'],
    [100, '00020000', 'qcow2 header exceeds cluster size'],
    [104, '01', 'qcow2: Compression type incompatible feature bit must be set'],
    [112, '2385287500000010', 'bitmaps_ext: Invalid extension length'],
    [112, 'e2792aca00010000', 'Header extension too large'],
    [112, 'e2792aca00000010', 'ERROR: ext_backing_format: len=16 too large (>=16)'],
    [112, '0537be7700000010', 'CRYPTO header extension only expected with LUKS encryption method'],
  ])('refuses damage at %i (%s)', (at, hex, message) => {
    expect(() => parseHeader(damagedHeader(at, hex))).toThrow(message);
  });

  it('names unknown features by the table in the image', () => {
    const bytes = damagedHeader(79, '20');
    // The entry of bit 4 becomes one of bit 5.
    bytes[112 + 8 + 4 * 48 + 1] = 5;
    expect(() => parseHeader(bytes)).toThrow('Unsupported qcow2 feature(s): extended L2 entries');
    bytes[112 + 8 + 4 * 48 + 2] = 0xe9;
    expect(() => parseHeader(bytes)).toThrow('Unsupported qcow2 feature(s): \udce9xtended L2 entries');
  });

  it('is recognised by probing', () => {
    expect(probe(encodeHeader(header()))).toBe(100);
    expect(probe(Uint8Array.of(0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1))).toBe(0);
    expect(probe(new Uint8Array(3))).toBe(0);
  });
});

describe('create', () => {
  it('lays out an empty image: header, refcount table, refcount block, L1 table', async () => {
    const file = memoryStorage();
    await createOn(file, { size: 1048576 });
    const bytes = new Uint8Array(file.size());
    await file.read(0, bytes);
    const fields = bigEndian(bytes);
    expect(bytes.length).toBe(196616);
    expect([fields.u64(40), fields.u64(48), fields.u64(65536), fields.u64(131072)]).toEqual([
      196608, 65536, 131072, 0x0001000100010001,
    ]);
  });

  it.each([
    [{ cluster_size: 100 * 1024 }, 'Cluster size must be a power of two between 512 and 2048k'],
    [{ refcount_bits: 3 }, 'Refcount width must be a power of two and may not exceed 64 bits'],
    [{ compat: '2.0' }, "Parameter 'version' does not accept value '2.0'"],
    [
      { compat: '0.10', extended_l2: true },
      'Extended L2 entries are only supported with compatibility level 1.1 and above',
    ],
    [
      { extended_l2: true, cluster_size: 8192 },
      'Extended L2 entries are only supported with cluster sizes of at least',
    ],
    [{ data_file_raw: true }, 'data-file-raw requires data-file'],
    [{ keep_data_file: true }, "Must not use 'keep_data_file=on' without 'data_file'"],
    [
      { preallocation: 'metadata', backing_file: 'x' },
      'Backing file and preallocation can only be used at the same time',
    ],
    [{ compression_type: 'lzma' }, "Parameter 'compression-type' does not accept value 'lzma'"],
    [{ size: 2 ** 62 }, 'The image size is too large for file format'],
  ])('refuses %j', async (options, message) => {
    await expect(createOn(memoryStorage(), { size: 1048576, ...options })).rejects.toThrow(message);
  });
});
