/** The order in which the real tool goes through options, and shows them. */
import { bytesOf } from '../base/text.ts';
import { isTree, type OptionNode } from './dotted.ts';
import type { OptionTree } from './tree.ts';

/** Buckets of the real tool's tables of options. */
const BUCKETS = 512;

/**
 * The bucket of an option. The real tool shows options in the order of a hash table, which experiments with some hundred
 * sets of keys show to have 512 buckets and the hash of the Trivial Database (tdb) library.
 */
function bucketOf(name: string): number {
  const bytes = bytesOf(name);
  let value = Math.imul(0x238f13af, bytes.length);
  for (const [index, byte] of bytes.entries()) value = (value + (byte << ((index * 5) % 24))) | 0;
  return (Math.imul(1103515243, value) + 12345) & (BUCKETS - 1);
}

/** Options by name in the real tool's order; of those in one bucket the last comes first. */
export function inOrder<T>(options: readonly (readonly [string, T])[]): readonly (readonly [string, T])[] {
  if (options.length < 2) return options;
  return options.toReversed().toSorted(([a], [b]) => bucketOf(a) - bucketOf(b));
}

/**
 * The options of a driver by their dotted names, as the real tool takes groups of options (`server`) apart: what is in one
 * bucket then stands the other way round.
 */
export function flattenInOrder(tree: OptionTree): readonly (readonly [string, OptionNode])[] {
  return Object.entries(tree).flatMap(([name, value]): readonly (readonly [string, OptionNode])[] => {
    if (!isTree(value)) return [[name, value]];
    return inOrder(flattenInOrder(value)).map(([part, leaf]) => [`${name}.${part}`, leaf]);
  });
}
