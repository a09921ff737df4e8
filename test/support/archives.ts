/** Archives for tests, made by hand: what the programs do not make any more, or should not. */
import { crc32 } from '../../src/codec/checksums.ts';
import { deflateRawSync } from 'node:zlib';

/** A member of a tar archive. */
export interface TarEntry {
  readonly name: string;
  readonly content: Uint8Array;
  /** Default: a file. */
  readonly type?: string;
}

/** A tar archive. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const pieces = entries.flatMap(({ name, content, type = '0' }) => {
    const head = Buffer.alloc(512);
    head.write(name, 0, 'latin1');
    head.write('0000644\0', 100);
    head.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    head.fill(0x20, 148, 156);
    head.write(type, 156);
    head.write('ustar\x0000', 257, 'latin1');
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [head, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...pieces, Buffer.alloc(1024)]);
}

/** A member of a zip archive. */
export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
  /** 0: stored, 8: deflate. */
  readonly method: number;
  /** Sizes and places are in extra fields, as for large files. */
  readonly large?: boolean;
}

/** A zip archive. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, content, method, large = false } of entries) {
    const stored = method === 8 ? deflateRawSync(content) : Buffer.from(content);
    const sum = crc32(content);
    const local = Buffer.alloc(30 + name.length);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(20, 4);
    local.writeUInt16LE(method, 8);
    local.writeUInt32LE(sum, 14);
    local.writeUInt32LE(stored.length, 18);
    local.writeUInt32LE(content.length, 22);
    local.writeUInt16LE(name.length, 26);
    local.write(name, 30, 'latin1');
    const extra = Buffer.alloc(large ? 28 : 0);
    if (large) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      extra.writeBigUInt64LE(BigInt(content.length), 4);
      extra.writeBigUInt64LE(BigInt(stored.length), 12);
      extra.writeBigUInt64LE(BigInt(at), 20);
    }
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(20, 6);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(sum, 16);
    entry.writeUInt32LE(large ? 0xffffffff : stored.length, 20);
    entry.writeUInt32LE(large ? 0xffffffff : content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(large ? 0xffffffff : at, 42);
    directory.push(entry, Buffer.from(name, 'latin1'), extra);
    pieces.push(local, stored);
    at += local.length + stored.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...pieces, central, end]);
}
