/** Nodes that have a name (`node-name`), which other options can say instead of describing one. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import { isTree } from '../../options/dotted.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { ImageNode } from '../node/node.ts';
import type { ProtocolStorage } from '../protocol.ts';

/** A node and what describes it. */
export interface NamedNode {
  readonly node: ImageNode | ProtocolStorage;
  readonly tree: OptionTree;
}

/** The names of nodes that are open at the same time. */
export class NamedNodes {
  /** Undefined: the name is taken, but the node is not open yet. */
  readonly #nodes = new Map<string, NamedNode | undefined>();

  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  get(name: string): NamedNode | undefined {
    return this.#nodes.get(name);
  }

  set(name: string, node: NamedNode | undefined): void {
    this.#nodes.set(name, node);
  }
}

/** What is looked at of a scope. */
interface Naming {
  readonly nodes: NamedNodes | undefined;
  readonly writable: boolean;
}

/** Keeps a node that has just been opened under its name, if its options give it one. */
export function named<N extends NamedNode['node']>(node: N, tree: OptionTree, { nodes }: Naming): N {
  const name = tree['node-name'];
  if (typeof name === 'string') nodes?.set(name, { node, tree });
  return node;
}

/**
 * The node that an option says by its name, for one more owner; undefined if there is none of that name.
 * @throws BlockError if it can only be read and has to be written.
 */
export function referredTo(
  role: string,
  given: OptionTree[string] | undefined,
  { nodes, writable }: Naming,
): NamedNode['node'] | undefined {
  const found = typeof given === 'string' ? nodes?.get(given) : undefined;
  if (!found) return undefined;
  if (writable && found.node.readOnly)
    throw new BlockError('read-only', `Block node is read-only`, { context: { access: role } });
  found.node.retain();
  return found.node;
}

/** A tree with the descriptions of the nodes that it says by their names. */
export function withReferences(tree: OptionTree, nodes: NamedNodes | undefined): OptionTree {
  const whole: Record<string, OptionTree[string]> = { ...tree };
  for (const [role, child] of Object.entries(tree)) {
    const known = typeof child === 'string' && role !== 'node-name' ? nodes?.get(child) : undefined;
    if (known) whole[role] = withReferences(known.tree, nodes);
    else if (isTree(child)) whole[role] = withReferences(child, nodes);
  }
  return whole;
}

/** Refuses a name with more than a name. */
export function refuseBoth(tree: OptionTree, role: string): void {
  if (typeof tree[role] !== 'string' || !Object.keys(tree).some((key) => key.startsWith(`${role}.`))) return;
  throw invalidArgument('Cannot reference an existing block device with additional options or a new filename');
}
