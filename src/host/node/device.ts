/** Block devices: what the kernel tells about them, and how they are zeroed and discarded. */
import { readFileSync } from 'node:fs';
import type { Limits } from '../../storage/storage.ts';
import type { Libc } from './native.ts';

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

/** The unit in which a device discards, from what the kernel publishes about it; 0 if it does not discard. */
function discardUnit(device: bigint): number {
  const { major, minor } = deviceNumbers(device);
  // A partition has no queue of its own, its disk has.
  for (const queue of ['queue', '../queue']) {
    try {
      const text = readFileSync(`/sys/dev/block/${major}:${minor}/${queue}/discard_granularity`, 'latin1');
      return Number.parseInt(text, 10) || 0;
    } catch {
      // The other place, or nothing known.
    }
  }
  return 0;
}

/**
 * Limits of a block device.
 * @param device number of the device, as `stat` gives it.
 * @param request alignment of requests; 1 unless the page cache is left out.
 */
export function deviceLimits(device: bigint, sector: number, request: number): Limits {
  const discard = discardUnit(device);
  return {
    requestAlignment: request,
    minMemoryAlignment: request,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
    writeZeroesAlignment: sector,
    ...(discard > 0 ? { discardAlignment: discard } : {}),
  };
}

/** Major and minor number: minor in bits 0-7 and 20-31 of a Linux device number, major in bits 8-19 and 32-63. */
export function deviceNumbers(device: bigint): { readonly major: bigint; readonly minor: bigint } {
  return {
    major: ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn),
    minor: (device & 0xffn) | ((device >> 12n) & 0xffffff00n),
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
