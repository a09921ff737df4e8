/** Runtime options of the driver: checked with the real tool's messages, and what they come to. */
import { invalidArgument } from '../../base/error.ts';
import { isPowerOfTwo } from '../../base/offset.ts';
import type { Header } from './structure/header.ts';
import { OVERLAP_KINDS, type OverlapKind, OVERLAP_TEMPLATES } from './structure/overlapKinds.ts';
import type { OpenOptions } from './options.ts';

/** Largest cache in tables. */
const MAX_TABLES = 2147483647;
/** Longest time between two cleanings of a cache, in seconds. */
const MAX_INTERVAL = 4294967295;
/** Tables that are kept at least, however small a cache is to be. */
const LEAST_TABLES = 4;
/** Bytes that a cache has at most, however large it is to be: memory does not grow with the image. */
const MOST_BYTES = 268435456;

/** How an image behaves while it is open. */
export interface Behaviour {
  /** Bytes of L2 tables that are kept. */
  readonly l2Budget: number;
  /** Bytes of refcount blocks that are kept. */
  readonly refcountBudget: number;
  /** Kinds of metadata that writes are kept off. */
  readonly overlapKinds: ReadonlySet<OverlapKind>;
}

/** What an image does that nothing was said for. */
export const USUAL: Behaviour = {
  l2Budget: 33554432,
  refcountBudget: 8388608,
  overlapKinds: new Set(OVERLAP_TEMPLATES.get('cached')),
};

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

/** Bytes of the two caches. Of a common size, L2 tables get all but the least, unless one of the two is given. */
function budgetsOf(options: OpenOptions, clusterSize: number): Pick<Behaviour, 'l2Budget' | 'refcountBudget'> {
  const { 'cache-size': all, 'l2-cache-size': l2, 'refcount-cache-size': refcount } = options;
  const least = LEAST_TABLES * clusterSize;
  const within = (bytes: number): number => Math.max(least, Math.min(bytes, MOST_BYTES));
  if (all === undefined) {
    return { l2Budget: within(l2 ?? USUAL.l2Budget), refcountBudget: within(refcount ?? USUAL.refcountBudget) };
  }
  const forL2 = l2 ?? all - (refcount ?? least);
  return { l2Budget: within(forL2), refcountBudget: within(refcount ?? all - forL2) };
}

function overlapKindsOf(options: OpenOptions): ReadonlySet<OverlapKind> {
  const { 'overlap-check': word, 'overlap-check.template': other } = options;
  if (word !== undefined && other !== undefined && word !== other) {
    throw invalidArgument(
      `Conflicting values for qcow2 options 'overlap-check' ('${word}') and 'overlap-check.template' ('${other}')`,
    );
  }
  const chosen = word ?? other ?? 'cached';
  const template = OVERLAP_TEMPLATES.get(chosen);
  if (!template) {
    const allowed = [...OVERLAP_TEMPLATES.keys()].join(', ');
    throw invalidArgument(
      `Unsupported value '${chosen}' for qcow2 option 'overlap-check'. Allowed are any of the following: ${allowed}`,
    );
  }
  const kinds = new Set(template);
  for (const kind of OVERLAP_KINDS) {
    const wanted = options[`overlap-check.${kind}`];
    if (wanted === true) kinds.add(kind);
    if (wanted === false) kinds.delete(kind);
  }
  return kinds;
}

/** What the options of an image that is being opened come to. */
export function behaviourOf(options: OpenOptions, header: Header): Behaviour {
  const clusterSize = 2 ** header.clusterBits;
  checkCaches(options, clusterSize);
  if (options['lazy-refcounts'] === true && header.version < 3) {
    throw invalidArgument('Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level');
  }
  return { ...budgetsOf(options, clusterSize), overlapKinds: overlapKindsOf(options) };
}
