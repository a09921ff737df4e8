/** Cylinders, heads and sectors: the size of a disk as old guests and old programs see it. */
import { SECTOR } from '../../base/offset.ts';

/** A disk geometry. */
export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** No image has more cylinders. */
const MAX_CYLINDERS = 65535;
/** Largest number of sectors that a geometry can express: 127.5 GiB. */
export const MAX_GEOMETRY_SECTORS: number = MAX_CYLINDERS * 16 * 255;
/** Largest disk: 2040 GiB, in sectors. */
export const MAX_SECTORS = 0xff000000;

/** Sectors of a disk with that geometry. */
export function sectorsOf(geometry: Geometry): number {
  return geometry.cylinders * geometry.heads * geometry.sectors;
}

/** The geometry of a disk of that many sectors, rounded down (VHD specification, appendix "CHS Calculation"). */
export function geometryOf(total: number): Geometry {
  const capped = Math.min(total, MAX_GEOMETRY_SECTORS);
  if (capped >= MAX_CYLINDERS * 16 * 63) {
    return { cylinders: Math.floor(Math.floor(capped / 255) / 16), heads: 16, sectors: 255 };
  }
  let sectors = 17;
  let tracks = Math.floor(capped / sectors);
  let heads = Math.max(4, Math.floor((tracks + 1023) / 1024));
  if (tracks >= heads * 1024 || heads > 16) {
    sectors = 31;
    heads = 16;
    tracks = Math.floor(capped / sectors);
  }
  if (tracks >= heads * 1024) {
    sectors = 63;
    heads = 16;
    tracks = Math.floor(capped / sectors);
  }
  return { cylinders: Math.floor(tracks / heads), heads, sectors };
}

/** How a new image records its size. */
export interface DiskSize {
  /** Guest size in bytes. */
  readonly size: number;
  readonly geometry: Geometry;
}

/**
 * The smallest size of at least `size` bytes that a geometry expresses exactly; programs that look only at the
 * geometry then see all of the disk. Sizes beyond the largest geometry are kept, with that geometry.
 */
export function roundToGeometry(size: number): DiskSize {
  const wanted = Math.ceil(size / SECTOR);
  if (wanted === 0) return { size: 0, geometry: { cylinders: 0, heads: 0, sectors: 0 } };
  if (wanted > MAX_GEOMETRY_SECTORS) return exactSize(size);
  let total = wanted;
  let geometry = geometryOf(total);
  while (sectorsOf(geometry) < wanted) geometry = geometryOf(++total);
  return { size: sectorsOf(geometry) * SECTOR, geometry };
}

/** `size` in whole sectors with the largest geometry, which tells readers to look at the size instead. */
export function exactSize(size: number): DiskSize {
  const geometry = { cylinders: MAX_CYLINDERS, heads: 16, sectors: 255 };
  return { size: Math.ceil(size / SECTOR) * SECTOR, geometry };
}
