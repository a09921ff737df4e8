/**
 * Layout of the disks that directories are shown as. Structures: "Microsoft Extensible Firmware Initiative FAT32 File System
 * Specification" (FAT: General Overview of On-Disk Format); sizes as the real tool has them.
 */
import { SECTOR } from '../../base/offset.ts';

/** Bits in an entry of the file allocation table. */
export type FatType = 12 | 16 | 32;

/** What the user chose. */
export interface Choice {
  readonly fatType: FatType | undefined;
  readonly floppy: boolean;
}

/** Where the parts of a disk are; counted in sectors unless said otherwise. */
export interface Geometry {
  readonly fatType: FatType;
  readonly floppy: boolean;
  readonly cylinders: number;
  readonly heads: number;
  readonly track: number;
  /** Sectors of the disk. */
  readonly total: number;
  /** Where the partition starts; 0 on floppy disks, which have none. */
  readonly partition: number;
  /** Sectors of the partition. */
  readonly sectors: number;
  /** Sectors in a cluster. */
  readonly cluster: number;
  /** Sectors in front of the first table, the boot sector included. */
  readonly reserved: number;
  /** Sectors in one of the two tables. */
  readonly table: number;
  /** Entries of the root directory, where it has a place of its own; 0 if it is made of clusters (FAT32). */
  readonly rootEntries: number;
  /** Where the root directory's own place starts, from the start of the disk. */
  readonly root: number;
  /** Where cluster 2 starts, from the start of the disk. */
  readonly data: number;
  /** Clusters of the data area. */
  readonly clusters: number;
}

/** Bytes of a directory entry. */
export const ENTRY = 32;
const ROOT_ENTRIES = 512;

/** The disk for a choice: a hard disk of 504 MiB (FAT12: 31.5), or a floppy disk of 2.88 MB (FAT12 asked for: 1.44). */
export function geometryOf(choice: Choice): Geometry {
  const { floppy } = choice;
  const fatType = choice.fatType ?? (floppy ? 12 : 16);
  const cylinders = floppy ? 80 : fatType === 12 ? 64 : 1024;
  const heads = floppy ? 2 : 16;
  const track = floppy ? (choice.fatType === 12 ? 18 : 36) : 63;
  const total = cylinders * heads * track;
  const partition = floppy ? 0 : track;
  const sectors = total - partition;
  const wide = fatType === 32;
  // Larger clusters would leave a disk of this size fewer of them than FAT32 has to have.
  const cluster = wide ? (floppy ? 1 : 8) : 16;
  const reserved = wide ? 32 : 1;
  const perSector = Math.floor((SECTOR * 8) / fatType);
  const table = 1 + Math.floor(sectors / (cluster * perSector));
  const rootEntries = wide ? 0 : ROOT_ENTRIES;
  const root = partition + reserved + 2 * table;
  const data = root + (rootEntries * ENTRY) / SECTOR;
  const clusters = Math.floor((total - data) / cluster);
  return {
    fatType,
    floppy,
    cylinders,
    heads,
    track,
    total,
    partition,
    sectors,
    cluster,
    reserved,
    table,
    rootEntries,
    root,
    data,
    clusters,
  };
}
