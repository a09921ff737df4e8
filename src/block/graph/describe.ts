/** The other way round: from the options of a node to the name under which it can be opened again. */
import { PLAIN_PROTOCOL } from '../../options/filename.ts';
import { flatten, isList, isTree } from '../../options/dotted.ts';
import { isJsonName, printJsonName } from '../../options/jsonName.ts';
import { flattenInOrder } from '../../options/order.ts';
import type { OptionTree } from '../../options/tree.ts';

/** Options that say how an image is used, not which image it is: they do not show in its name. */
const WEAK = new Set([
  'driver',
  'file',
  'backing',
  'node-name',
  'read-only',
  'auto-read-only',
  'discard',
  'detect-zeroes',
  'cache',
  'force-share',
  'latency-ns',
  'open-timeout',
  'reconnect-delay',
  'x-dirty-bitmap',
]);

/** Name that the real tool gives the node of an image whose own name was not given. */
export const UNNAMED_NODE = '#block1';

/** Options of formats that change what is read from the same file. */
const STRONG = /^(offset|size|force_size_calc|encrypt\.(?!format$)|key-secret|aes-key)/;

/** Children that the name holds as soon as it is more than the file's. */
const CHILDREN = ['header', 'file'];

/**
 * The name of an image node: its file's name if that says it all, else `json:{...}`.
 * @param fileName name of the `file` child.
 */
export function describeNode(tree: OptionTree, format: string, fileName: string, hasBacking: boolean): string {
  const own = Object.fromEntries(Object.entries(tree).filter(([key]) => !WEAK.has(key)));
  const strong = [...flatten(own)].filter(([key]) => STRONG.test(key));
  const nested = isTree(tree['file']) && 'file' in tree['file'];
  const otherBacking = hasBacking && isTree(tree['backing']);
  if (strong.length === 0 && !nested && !otherBacking) {
    const file = tree['file'];
    // A protocol without plain names (vvfat) has to be described together with the image. A file can be called so, too.
    if (!isTree(file) || !isJsonName(fileName) || file['filename'] === fileName) return fileName;
    return printJsonName({ driver: format, file: describeChild(file) });
  }
  const parts: Record<string, OptionTree[string]> = { ...Object.fromEntries(strong), driver: format };
  for (const role of CHILDREN) {
    const child = tree[role];
    if (isTree(child)) parts[role] = describeChild(child);
  }
  if (otherBacking && isTree(tree['backing'])) parts['backing'] = describeChild(tree['backing']);
  return printJsonName(parts);
}

/** The name of a filter that has no plain one: its children by their roles, and its own options by their dotted names. */
export function describeFilter(
  tree: OptionTree,
  options: OptionTree,
  roles: readonly { readonly role: string }[],
): string {
  const children = roles.flatMap(({ role }) => (tree[role] === undefined ? [] : [[role, describeValue(tree[role])]]));
  return printJsonName({
    ...Object.fromEntries(flatten(options)),
    driver: tree['driver'] ?? '',
    ...(Object.fromEntries(children) as OptionTree),
  });
}

function describeValue(value: OptionTree[string] | undefined): OptionTree[string] {
  if (isList(value)) return value.map((item) => describeValue(item) as OptionTree);
  return isTree(value) ? describeChild(value) : (value ?? null);
}

function describeChild(tree: OptionTree): OptionTree {
  const known: Record<string, OptionTree[string]> = { driver: tree['driver'] ?? PLAIN_PROTOCOL };
  for (const [key, value] of Object.entries(tree)) {
    if (isList(value) || (isTree(value) && isNode(key, value))) known[key] = describeValue(value);
    else if (!WEAK.has(key)) Object.assign(known, Object.fromEntries(flattenInOrder({ [key]: value })));
  }
  return known;
}

/** True for a child, which is a node; other trees are groups of options. */
function isNode(role: string, tree: OptionTree): boolean {
  return (
    role === 'file' || role === 'backing' || ['driver', 'file', 'filename'].some((name) => tree[name] !== undefined)
  );
}
