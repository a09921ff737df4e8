/** Open options of a tree: which belong to the driver, which to the graph, which to nobody. */
import { coerceLeaf, defaultsOf } from '../options/coerce.ts';
import { flatten } from '../options/dotted.ts';
import type { AnyOptionValues, OptionTable } from '../options/table.ts';
import type { OptionTree } from '../options/tree.ts';

/** Options that the graph itself understands, for every driver. */
const COMMON = new Set([
  'driver',
  'node-name',
  'read-only',
  'auto-read-only',
  'discard',
  'detect-zeroes',
  'cache',
  'force-share',
]);

/** The tree without children of the given roles and without the options that every driver has. */
export function ownOptions(tree: OptionTree, roles: Iterable<string>): OptionTree {
  const left = new Set(roles);
  return Object.fromEntries(Object.entries(tree).filter(([name]) => !COMMON.has(name) && !left.has(name)));
}

/** Values of a table's options that the tree holds, and the first option that the table does not know. */
export function coerceTree(
  table: OptionTable,
  tree: OptionTree,
): { readonly values: AnyOptionValues; readonly unknown: string | undefined } {
  const values: Record<string, string | number | boolean | undefined> = { ...defaultsOf(table) };
  let unknown: string | undefined;
  for (const [name, leaf] of flatten(tree)) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec) values[name] = coerceLeaf(name, spec.kind, leaf);
    else unknown ??= name;
  }
  return { values, unknown };
}
