/** Block devices: what the kernel tells about them, and how they are zeroed and discarded. */
import type { Limits } from '../../storage/storage.ts';
import type { Libc } from './ffi.ts';

/** Request codes of `linux/fs.h`. */
const BLKSSZGET = 0x1268;
const BLKDISCARD = 0x1277;
const BLKZEROOUT = 0x127f;
const BLKGETSIZE64 = 0x80081272;

/** Smallest unit of every block device. */
const SECTOR = 512;

/** Size in bytes of a block device, or undefined if the kernel does not say. */
export function deviceSize(libc: Libc, fd: number): number | undefined {
  const answer = new Uint8Array(8);
  if (libc.ioctl(fd, BLKGETSIZE64, answer) < 0) return undefined;
  return Number(new DataView(answer.buffer).getBigUint64(0, true));
}

/** Bytes in a logical sector of a block device. */
export function deviceSectorSize(libc: Libc, fd: number): number {
  const answer = new Uint8Array(4);
  if (libc.ioctl(fd, BLKSSZGET, answer) < 0) return SECTOR;
  const size = new DataView(answer.buffer).getInt32(0, true);
  return size >= SECTOR ? size : SECTOR;
}

/** Limits of a block device; `request` is 1 unless the device is used without the page cache. */
export function deviceLimits(sector: number, request: number): Limits {
  return {
    requestAlignment: request,
    minMemoryAlignment: request,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
    writeZeroesAlignment: sector,
    discardAlignment: 4096,
  };
}

function range(offset: number, length: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([BigInt(offset), BigInt(length)]).buffer);
}

/** Lets the device write zeroes itself; whole sectors. Returns a negative error number if it cannot. */
export function deviceZero(libc: Libc, fd: number, offset: number, length: number): Promise<number> {
  return libc.ioctlAsync(fd, BLKZEROOUT, range(offset, length));
}

/** Discards whole sectors. Returns a negative error number if the device cannot. */
export function deviceDiscard(libc: Libc, fd: number, offset: number, length: number): Promise<number> {
  return libc.ioctlAsync(fd, BLKDISCARD, range(offset, length));
}
