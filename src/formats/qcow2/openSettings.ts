/** Runtime options of the driver: what is allowed, and what of it has an effect here. */
import { invalidArgument } from '../../base/error.ts';
import { isPowerOfTwo } from '../../base/offset.ts';
import type { Header } from './structure/header.ts';
import type { OpenOptions } from './options.ts';

/** How many overlaps are looked for while writing. All of the cheap ones are, whatever is chosen. */
const OVERLAP_CHECKS = ['none', 'constant', 'cached', 'all'];
/** Largest cache in tables. */
const MAX_TABLES = 2147483647;
/** Longest time between two cleanings of a cache, in seconds. */
const MAX_INTERVAL = 4294967295;

function checkCaches(options: OpenOptions, clusterSize: number): void {
  const { 'cache-size': all, 'l2-cache-size': l2, 'refcount-cache-size': refcount } = options;
  if (all !== undefined) {
    if (l2 !== undefined && refcount !== undefined) {
      throw invalidArgument('cache-size, l2-cache-size and refcount-cache-size may not be set at the same time');
    }
    if ((l2 ?? 0) > all) throw invalidArgument('l2-cache-size may not exceed cache-size');
    if ((refcount ?? 0) > all) throw invalidArgument('refcount-cache-size may not exceed cache-size');
  }
  const entry = options['l2-cache-entry-size'] ?? Math.min(clusterSize, 4096);
  if (entry < 512 || entry > clusterSize || !isPowerOfTwo(entry)) {
    throw invalidArgument(
      `L2 cache entry size must be a power of two between 512 and the cluster size (${clusterSize})`,
    );
  }
  const rest = refcount ?? (all === undefined ? 0 : all - (l2 ?? 0));
  if (rest / clusterSize > MAX_TABLES) throw invalidArgument('Refcount cache size too big');
  const interval = options['cache-clean-interval'] ?? 0;
  if (interval < 0 || interval > MAX_INTERVAL) throw invalidArgument('Cache clean interval too big');
}

/**
 * Checks the options of an image that is being opened, with the real tool's messages. Cache sizes are accepted and
 * have no effect: the caches here have budgets of their own.
 */
export function checkOpenSettings(options: OpenOptions, header: Header): void {
  checkCaches(options, 2 ** header.clusterBits);
  if (options['lazy-refcounts'] === true && header.version < 3) {
    throw invalidArgument('Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level');
  }
  const overlap = options['overlap-check'] ?? options['overlap-check.template'];
  if (overlap !== undefined && !OVERLAP_CHECKS.includes(overlap)) {
    const allowed = OVERLAP_CHECKS.join(', ');
    throw invalidArgument(
      `Unsupported value '${overlap}' for qcow2 option 'overlap-check'. Allowed are any of the following: ${allowed}`,
    );
  }
}
