/** Open options of a tree: which belong to the graph, which to the driver, which to nobody. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import { coerceLeaf, defaultsOf, parseBool } from '../../options/coerce.ts';
import { flatten, isTree } from '../../options/dotted.ts';
import { PLAIN_PROTOCOL } from '../../options/filename.ts';
import { inOrder } from '../../options/order.ts';
import type { AnyOptionValues, OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Scope } from './scope.ts';

/** Options that the graph itself understands, for every driver. */
const COMMON = new Set([
  'driver',
  'node-name',
  'read-only',
  'auto-read-only',
  'discard',
  'detect-zeroes',
  'force-share',
  'cache.direct',
  'cache.no-flush',
]);

/** The tree without children of the given roles and without the options that every driver has. */
export function ownOptions(tree: OptionTree, roles: Iterable<string>): OptionTree {
  const left = new Set(roles);
  const own: Record<string, OptionTree[string]> = {};
  const parts = [...left].filter((role) => role.includes('.'));
  for (const [name, value] of Object.entries(tree)) {
    if (COMMON.has(name) || left.has(name)) continue;
    if (parts.some((role) => role.startsWith(`${name}.`))) {
      for (const [key, leaf] of flatten({ [name]: value })) {
        if (!parts.some((role) => key === role || key.startsWith(`${role}.`))) own[key] = leaf;
      }
    } else if (name !== 'cache' || !isTree(value)) own[name] = value;
    else {
      const rest = Object.entries(value).filter(([part]) => !COMMON.has(`cache.${part}`));
      if (rest.length > 0) own[name] = Object.fromEntries(rest);
    }
  }
  return own;
}

/** The driver that a tree names. */
export function driverName(tree: OptionTree): string | undefined {
  const name = tree['driver'];
  return typeof name === 'string' ? name : undefined;
}

/** What a tree says of a child, whose role may be an element of a list (`extents.0`). */
export function childOptions(tree: OptionTree, role: string): OptionTree[string] | undefined {
  if (tree[role] !== undefined) return tree[role];
  const [list = '', index = ''] = role.split('.');
  const items = tree[list];
  return typeof items === 'object' && items !== null ? (items as OptionTree)[index] : undefined;
}

/**
 * A file that an image names, opened with what options say of its child besides.
 * @throws BlockError if they name another one.
 */
export function withGiven(filename: string, given: OptionTree[string] | undefined, isFormat: boolean): OptionTree {
  if (given === undefined) return { driver: PLAIN_PROTOCOL, filename };
  if (!isTree(given)) {
    const problem = 'Cannot reference an existing block device with additional options or a new filename';
    throw invalidArgument(problem);
  }
  if (given['filename'] !== undefined) {
    throw invalidArgument("Can't specify 'file' and 'filename' options at the same time");
  }
  if (!isFormat) return { driver: PLAIN_PROTOCOL, ...given, filename };
  const file = isTree(given['file']) ? given['file'] : {};
  return { ...given, file: { driver: PLAIN_PROTOCOL, ...file, filename } };
}

/** Values of a table's options that the tree holds, and the first in the real tool's order that the table does not know. */
export function coerceTree(
  table: OptionTable,
  tree: OptionTree,
): { readonly values: AnyOptionValues; readonly unknown: string | undefined } {
  const values: Record<string, string | number | boolean | undefined> = { ...defaultsOf(table) };
  let unknown: string | undefined;
  for (const [name, leaf] of inOrder(flatten(tree))) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!spec) unknown ??= name;
    // JSON's null is as good as nothing.
    else if (leaf !== null) values[name] = coerceLeaf(name, spec.kind, leaf);
  }
  return { values, unknown };
}

/**
 * Values of a filter's options by its table.
 * @throws BlockError for one that the table does not know.
 */
export function filterValues<T extends OptionTable>(filter: string, table: T, options: OptionTree): OptionValues<T> {
  const { values, unknown } = coerceTree(table, options);
  if (unknown === undefined) return values as OptionValues<T>;
  throw invalidArgument(`Block format '${filter}' does not support the option '${unknown}'`);
}

/** The scope with what a node's own common options change; the values are checked. */
export function withCommonOptions(tree: OptionTree, scope: Scope): Scope {
  const cache = isTree(tree['cache']) ? tree['cache'] : {};
  const direct = flag('cache.direct', cache['direct']);
  const noFlush = flag('cache.no-flush', cache['no-flush']);
  const forceShare = isShared(tree, scope);
  const auto = flag('auto-read-only', tree['auto-read-only']);
  if (flag('read-only', tree['read-only']) && scope.writable) {
    throw new BlockError('read-only', 'Block node is read-only');
  }
  const readOnly = tree['read-only'];
  const opensToWrite = readOnly === undefined ? scope.writable : !flag('read-only', readOnly);
  if (opensToWrite && forceShare) {
    throw invalidArgument('force-share=on can only be used with read-only images');
  }
  const discard = discardMode(tree['discard']) ?? scope.discard;
  checkDetectZeroes(tree['detect-zeroes'], discard === 'unmap');
  return {
    ...scope,
    insists: !auto && (readOnly === undefined ? scope.insists === true : opensToWrite),
    forceShare,
    cache: direct ? 'none' : noFlush ? 'unsafe' : scope.cache,
    discard,
  };
}

/** Whether a node is opened whatever others do to it: as it says itself, else as the node above. */
export function isShared(tree: OptionTree, above: Scope): boolean {
  return tree['force-share'] === undefined ? above.forceShare : flag('force-share', tree['force-share']);
}

function flag(name: string, value: OptionTree[string] | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  return parseBool(name, textOf(value));
}

function textOf(value: OptionTree[string]): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function discardMode(value: OptionTree[string] | undefined): 'ignore' | 'unmap' | undefined {
  // JSON's true and the like are passed over.
  if (typeof value !== 'string') return undefined;
  if (value === 'unmap' || value === 'on') return 'unmap';
  if (value === 'ignore' || value === 'off') return 'ignore';
  throw invalidArgument('Invalid discard option');
}

function checkDetectZeroes(value: OptionTree[string] | undefined, discards: boolean): void {
  if (value === 'unmap' && !discards) {
    throw invalidArgument('setting detect-zeroes to unmap is not allowed without setting discard operation to unmap');
  }
  if (value === undefined || ['on', 'off', 'unmap'].includes(textOf(value))) return;
  throw invalidArgument(`invalid parameter value: ${textOf(value)}`);
}

/** Longest name of a node in bytes. */
const MAX_NODE_NAME = 31;

/** Checks the name of a node, which no other node may have: after its `file` has been opened, which has its own. */
export function claimNodeName(tree: OptionTree, { nodes: taken }: Scope): void {
  const value = tree['node-name'];
  if (value === undefined) return;
  const name = textOf(value);
  if (!/^[A-Za-z][A-Za-z0-9._-]*$/.test(name)) {
    throw invalidArgument(`Invalid node-name: '${name}'`);
  }
  if (taken?.has(name)) throw invalidArgument(`Duplicate nodes with node-name='${name}'`);
  if (name.length > MAX_NODE_NAME) throw invalidArgument('Node name too long');
  taken?.set(name, undefined);
}
