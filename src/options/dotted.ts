/** Dotted names (`file.filename`, `children.0.driver`) to option trees and back. */
import type { OptionLeaf, OptionTree } from './tree.ts';

/** Anything that can stand at a name. */
export type OptionNode = OptionTree[string];

/** How deep trees may nest; deeper ones are left flat. */
const MAX_DEPTH = 200;

interface Draft {
  readonly children: Map<string, Draft>;
  value?: OptionNode;
}

/** True for an option that has named parts of its own. */
export function isTree(node: OptionNode | undefined): node is OptionTree {
  return typeof node === 'object' && node !== null && !Array.isArray(node);
}

/** True for an option that is a row of others. */
export function isList(node: OptionNode | undefined): node is readonly (OptionLeaf | OptionTree)[] {
  return Array.isArray(node);
}

/** An option as text, for messages. */
export function optionText(node: OptionNode): string {
  return typeof node === 'object' ? JSON.stringify(node) : String(node);
}

function emptyTree(): Record<string, OptionNode> {
  // No prototype: a name like `__proto__` is a name like any other.
  return Object.create(null) as Record<string, OptionNode>;
}

function nest(draft: Draft): OptionTree {
  const tree = emptyTree();
  for (const [name, child] of draft.children) {
    if (child.children.size === 0) {
      if (child.value !== undefined) tree[name] = child.value;
      continue;
    }
    if (child.value === undefined) {
      tree[name] = asList(nest(child));
      continue;
    }
    // A value and parts of the same name: the value keeps the name, the parts stay dotted beside it.
    tree[name] = child.value;
    for (const [key, value] of flatten(nest(child))) tree[`${name}.${key}`] = value;
  }
  return tree;
}

/** A tree whose names are exactly 0, 1, 2, ... as a list. */
function asList(tree: OptionTree): OptionNode {
  const names = Object.keys(tree);
  const list: (OptionLeaf | OptionTree)[] = [];
  for (let index = 0; index < names.length; index++) {
    const item = tree[String(index)];
    if (item === undefined || Array.isArray(item)) return tree;
    list.push(item as OptionLeaf | OptionTree);
  }
  return list;
}

/**
 * A tree from dotted names. Later values replace earlier ones. A name that is given a value and parts keeps both: the
 * parts are then left as dotted names (`{ file: 'x', 'file.filename': 'y' }`), for the reader to refuse.
 */
export function unflatten(entries: Iterable<readonly [string, OptionNode]>): OptionTree {
  const root: Draft = { children: new Map() };
  for (const [name, value] of entries) {
    const parts = name.split('.');
    const path = parts.length > MAX_DEPTH ? [name] : parts;
    let draft = root;
    for (const part of path) {
      let child = draft.children.get(part);
      if (child === undefined) {
        child = { children: new Map() };
        draft.children.set(part, child);
      }
      draft = child;
    }
    draft.value = value;
  }
  return nest(root);
}

/** All leaves of a tree by dotted name, in order. Empty objects and lists are leaves too. */
export function flatten(tree: OptionTree): [string, OptionNode][] {
  const entries: [string, OptionNode][] = [];
  const visit = (prefix: string, node: OptionNode): void => {
    if (typeof node === 'object' && node !== null) {
      const parts = Object.entries(node) as [string, OptionNode][];
      if (parts.length > 0) {
        for (const [name, part] of parts) visit(`${prefix}.${name}`, part);
        return;
      }
    }
    entries.push([prefix, node]);
  };
  for (const [name, node] of Object.entries(tree)) visit(name, node);
  return entries;
}

/** Nested trees and dotted names in one form: `{ "file.locking": "off", file: {...} }` becomes one `file`. */
export function normalize(tree: OptionTree): OptionTree {
  const entries = Object.entries(tree);
  const dotted = entries.filter(([name, value]) => name.includes('.') && !isTree(value));
  if (dotted.length === 0) return unflatten(flatten(tree));
  // What is said twice counts as it stands in the group, as in the real tool.
  const others = entries.filter((entry) => !dotted.includes(entry));
  return unflatten([...flatten(Object.fromEntries(dotted)), ...flatten(Object.fromEntries(others))]);
}
