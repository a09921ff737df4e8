/** Everything in front of the data area: partition table, boot sector, file allocation tables. */
import { type Fields, littleEndian, utf8Bytes } from '../../base/bytes.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Geometry } from './geometry.ts';
import type { Run } from './tree.ts';

/** Identification of the disk and of the volume: the same for all, so that a directory always makes the same disk. */
const DISK_ID = 0xbe1afdfa;
const VOLUME_ID = 0xfabe1afd;
const END_MARK = 0xaa55;

/** Bytes from the start of the disk to the root directory, or to the data area where the root is made of clusters. */
export function encodeHead(geometry: Geometry, label: string, runs: readonly Run[]): Uint8Array {
  const bytes = new Uint8Array(geometry.root * SECTOR);
  if (geometry.partition > 0) partitionTable(littleEndian(bytes.subarray(0, SECTOR)), geometry);
  const boot = geometry.partition * SECTOR;
  bootSector(littleEndian(bytes.subarray(boot, boot + SECTOR)), geometry, label);
  if (geometry.fatType === 32) {
    informationSector(littleEndian(bytes.subarray(boot + SECTOR, boot + 2 * SECTOR)));
    bytes.copyWithin(boot + 6 * SECTOR, boot, boot + 2 * SECTOR);
  }
  const start = boot + geometry.reserved * SECTOR;
  const length = geometry.table * SECTOR;
  allocationTable(bytes.subarray(start, start + length), geometry, runs);
  bytes.copyWithin(start + length, start, start + length);
  return bytes;
}

/** Cylinder, head and sector of a sector, in the three bytes of a partition entry. */
function setPlace(fields: Fields, at: number, sector: number, { heads, track }: Geometry): void {
  const cylinder = Math.floor(sector / (heads * track));
  fields.setU8(at, Math.floor(sector / track) % heads);
  fields.setU8(at + 1, (sector % track) + 1 + Math.floor(cylinder / 256) * 64);
  fields.setU8(at + 2, cylinder % 256);
}

function partitionTable(fields: Fields, geometry: Geometry): void {
  const entry = 0x1be;
  fields.setU32(0x1b8, DISK_ID);
  fields.setU8(entry, 0x80);
  setPlace(fields, entry + 1, geometry.partition, geometry);
  fields.setU8(entry + 4, { 12: 0x01, 16: 0x06, 32: 0x0b }[geometry.fatType]);
  setPlace(fields, entry + 5, geometry.total - 1, geometry);
  fields.setU32(entry + 8, geometry.partition);
  fields.setU32(entry + 12, geometry.sectors);
  fields.setU16(0x1fe, END_MARK);
}

function bootSector(fields: Fields, geometry: Geometry, label: string): void {
  const wide = geometry.fatType === 32;
  const small = geometry.sectors < 65536 && !wide;
  fields.set(0, Uint8Array.of(0xeb, wide ? 0x58 : 0x3e, 0x90));
  fields.set(3, utf8Bytes('MSWIN4.1'));
  fields.setU16(0x0b, SECTOR);
  fields.setU8(0x0d, geometry.cluster);
  fields.setU16(0x0e, geometry.reserved);
  fields.setU8(0x10, 2);
  fields.setU16(0x11, geometry.rootEntries);
  fields.setU16(0x13, small ? geometry.sectors : 0);
  fields.setU8(0x15, mediaOf(geometry));
  fields.setU16(0x16, wide ? 0 : geometry.table);
  fields.setU16(0x18, geometry.track);
  fields.setU16(0x1a, geometry.heads);
  fields.setU32(0x1c, geometry.partition);
  fields.setU32(0x20, small ? 0 : geometry.sectors);
  if (wide) {
    fields.setU32(0x24, geometry.table);
    // Root directory, information sector, copy of the boot sector.
    fields.setU32(0x2c, 2);
    fields.setU16(0x30, 1);
    fields.setU16(0x32, 6);
  }
  const at = wide ? 0x40 : 0x24;
  fields.setU8(at, geometry.floppy ? 0 : 0x80);
  fields.setU8(at + 2, 0x29);
  fields.setU32(at + 3, VOLUME_ID);
  fields.set(at + 7, utf8Bytes(label));
  fields.set(at + 18, utf8Bytes(`FAT${geometry.fatType}   `));
  fields.setU16(0x1fe, END_MARK);
}

/** The information sector of FAT32; free clusters are not counted. */
function informationSector(fields: Fields): void {
  fields.setU32(0, 0x41615252);
  fields.setU32(0x1e4, 0x61417272);
  fields.setU32(0x1e8, 0xffffffff);
  fields.setU32(0x1ec, 0xffffffff);
  fields.setU16(0x1fe, END_MARK);
}

function mediaOf(geometry: Geometry): number {
  return geometry.floppy ? 0xf0 : 0xf8;
}

function allocationTable(bytes: Uint8Array, geometry: Geometry, runs: readonly Run[]): void {
  const { fatType } = geometry;
  const end = fatType === 32 ? 0x0fffffff : 2 ** fatType - 1;
  const fields = littleEndian(bytes);
  const set = (cluster: number, value: number): void => {
    if (fatType === 32) fields.setU32(cluster * 4, value);
    else if (fatType === 16) fields.setU16(cluster * 2, value);
    else setTwelveBits(fields, cluster, value);
  };
  set(0, end - 0xff + mediaOf(geometry));
  set(1, end);
  for (const { cluster, count } of runs) {
    for (let i = 0; i < count; i++) set(cluster + i, i === count - 1 ? end : cluster + i + 1);
  }
}

/** Two entries share three bytes. */
function setTwelveBits(fields: Fields, cluster: number, value: number): void {
  const at = Math.floor((cluster * 3) / 2);
  const old = fields.u16(at);
  fields.setU16(at, cluster % 2 === 0 ? (old & 0xf000) | value : (old & 0x000f) | (value << 4));
}
