/**
 * What is surely not meant as a raw disk though no format recognises it: archives, compressed files, download errors.
 * Taken for disks, as the real tool takes them, they are converted into nonsense without a word; so a warning names them.
 * A disk may begin with any bytes: everything here is told by more than the two or three bytes that it begins with.
 */
import { bigEndian } from '../../base/bytes.ts';
import { isBzip2File, isGzipFile, isXzFile, isZstdFile } from '../../codec/fileMagic.ts';

/** Bytes at an offset. */
type Magic = readonly [offset: number, bytes: readonly number[]];

/** A kind of file. */
interface Kind {
  /** With its article, for the warning. */
  readonly name: string;
  readonly magic: Magic;
  /** What else has to be right; the head is at least as long as the magic. */
  readonly fits?: (head: Uint8Array) => boolean;
}

function magic(text: string, offset = 0): Magic {
  return [offset, Array.from(text, (character) => character.charCodeAt(0))];
}

/** The byte at an offset; -1 behind the end. */
function byteAt(head: Uint8Array, offset: number): number {
  return head[offset] ?? -1;
}

/** "LZ4 Frame Format Description" 1.6: version 1, reserved bits 0, blocks of 64 KiB to 4 MiB. */
function isLz4(head: Uint8Array): boolean {
  const [flags, block] = [byteAt(head, 4), byteAt(head, 5)];
  return (flags & 0xc2) === 0x40 && block >= 0x40 && (block & 0x8f) === 0;
}

function hasMagic(head: Uint8Array, [offset, bytes]: Magic): boolean {
  return bytes.every((byte, at) => head[offset + at] === byte);
}

/** APPNOTE.TXT 4.3.7: the version needed is one of those that exist, flags have no bit that is not in use. */
function isZipMember(head: Uint8Array): boolean {
  const version = byteAt(head, 4);
  return version >= 0 && version <= 63 && byteAt(head, 5) <= 20 && (byteAt(head, 7) & 0xc0) === 0;
}

/** Beginnings of zip archives: of a member, of an empty archive, of a part of several (APPNOTE.TXT 4.3.7, 4.3.16, 8.5.3). */
const ZIP_MEMBER: Magic = [0, [0x50, 0x4b, 3, 4]];
const ZIP_EMPTY: Magic = [0, [0x50, 0x4b, 5, 6, 0, 0, 0, 0, 0, 0]];
const ZIP_SPLIT: Magic = [0, [0x50, 0x4b, 7, 8, 0x50, 0x4b, 3, 4]];

/** A zip archive. */
export function isZipFile(head: Uint8Array): boolean {
  return (hasMagic(head, ZIP_MEMBER) && isZipMember(head)) || hasMagic(head, ZIP_EMPTY) || hasMagic(head, ZIP_SPLIT);
}

/** A tar archive, also an OVA package. POSIX `ustar` and its predecessors: the sum of all bytes, its own field taken as blanks. */
export function isTarFile(head: Uint8Array): boolean {
  if (head.length < 512) return false;
  const field = String.fromCharCode(...head.subarray(148, 156));
  const [, digits] = /^[ \0]*([0-7]{1,8})[ \0]*$/.exec(field) ?? [];
  if (digits === undefined) return false;
  let sum = 8 * 0x20;
  for (let at = 0; at < 512; at++) if (at < 148 || at >= 156) sum += head[at] as number;
  return sum === Number.parseInt(digits, 8) && sum > 8 * 0x20;
}

/** The first name in the archive is that of an OVF descriptor, as the OVF specification demands. */
function isOva(head: Uint8Array): boolean {
  const end = head.indexOf(0);
  return (
    isTarFile(head) && /\.ovf$/i.test(String.fromCharCode(...head.subarray(0, Math.min(100, end < 0 ? 100 : end))))
  );
}

/** The beginning as lower-case text, without a byte order mark and blanks. */
function textOf(head: Uint8Array): string {
  return String.fromCharCode(...head.subarray(0, 1024))
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart()
    .toLowerCase();
}

/** Kinds of files by their magic; the first that fits counts. */
const KINDS: readonly Kind[] = [
  { name: 'an OVA package (a tar archive with disk images in it)', magic: magic('', 0), fits: isOva },
  { name: 'a tar archive', magic: magic('', 0), fits: isTarFile },
  { name: 'compressed with gzip', magic: magic(''), fits: isGzipFile },
  { name: 'compressed with xz', magic: magic(''), fits: isXzFile },
  { name: 'compressed with zstd', magic: magic(''), fits: isZstdFile },
  { name: 'compressed with bzip2', magic: magic(''), fits: isBzip2File },
  { name: 'compressed with lz4', magic: [0, [0x04, 0x22, 0x4d, 0x18]], fits: isLz4 },
  { name: 'compressed with lzip', magic: [0, [0x4c, 0x5a, 0x49, 0x50, 1]] },
  { name: 'compressed with lzop', magic: [0, [0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a]] },
  { name: 'a zip archive', magic: magic(''), fits: isZipFile },
  { name: 'a 7z archive', magic: [0, [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0]] },
  { name: 'a RAR archive', magic: [0, [0x52, 0x61, 0x72, 0x21, 0x1a, 7, 0]] },
  { name: 'a RAR archive', magic: [0, [0x52, 0x61, 0x72, 0x21, 0x1a, 7, 1, 0]] },
  { name: 'a cabinet', magic: magic('MSCF\0\0\0\0') },
  { name: 'a Debian package', magic: magic('!<arch>\ndebian') },
  { name: 'an RPM package', magic: [0, [0xed, 0xab, 0xee, 0xdb, 3, 0]] },
  { name: 'a Windows image (WIM)', magic: magic('MSWIM\0\0\0') },
  { name: 'an Android sparse image', magic: [0, [0x3a, 0xff, 0x26, 0xed, 1, 0]] },
  { name: 'an EnCase image (EWF)', magic: [0, [0x45, 0x56, 0x46, 9, 0x0d, 0x0a, 0xff, 0]] },
  { name: 'a partclone image', magic: magic('partclone-image') },
  { name: 'a Proxmox backup (VMA)', magic: magic('VMA\0\0\0\0\x01') },
  {
    name: 'an Apple sparse image',
    magic: magic('sprs'),
    fits: (head) => head.length >= 8 && bigEndian(head).u32(4) === 3,
  },
  {
    name: 'an extent of a VMDK image (seSparse): the image is opened by its descriptor',
    magic: [0, [0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]],
  },
  { name: 'a dynamic VHD image with a damaged first sector (the format vpc opens it)', magic: magic('cxsparse', 512) },
  { name: 'a Git LFS pointer, not the file that it stands for', magic: magic('version https://git-lfs') },
  {
    name: 'a web page, perhaps the error of a failed download',
    magic: magic(''),
    fits: (head) => /^<(!doctype html|html)[\s>]/.test(textOf(head)),
  },
  {
    name: 'an OVF descriptor: the disks are in the files that it names',
    magic: magic(''),
    fits: (head) => /^<(\w+:)?envelope[\s>]/.test(rootOf(textOf(head))),
  },
];

/** XML without its declaration and the comments behind that. */
function rootOf(xml: string): string {
  if (!xml.startsWith('<?xml')) return xml;
  let rest = xml.slice(xml.indexOf('>') + 1);
  for (;;) {
    rest = rest.trimStart();
    const end = rest.startsWith('<!--') ? rest.indexOf('-->', 4) : -1;
    if (end < 0) return rest;
    rest = rest.slice(end + 3);
  }
}

/**
 * What a file is that nothing recognised as a disk image; undefined if it may well be a raw disk.
 * @param head the first bytes, 512 at least where the file has them.
 */
export function kindOfFile(head: Uint8Array): string | undefined {
  return KINDS.find(({ magic: beginning, fits }) => hasMagic(head, beginning) && (fits?.(head) ?? true))?.name;
}

/** Extents of VMDK images that hold plain bytes: `x-flat.vmdk`, `x-f001.vmdk`. */
const FLAT_EXTENT = /^(.*)-(?:flat|f\d{3,})\.vmdk$/is;

/** The image that a flat VMDK extent of that name is a part of; undefined for other names. */
export function descriptorOfExtent(filename: string): string | undefined {
  const [, base] = FLAT_EXTENT.exec(filename) ?? [];
  return base === undefined ? undefined : `${base}.vmdk`;
}
