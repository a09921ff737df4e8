/** Opens filters: what is below them first, then the filter in front of it. */
import { invalidArgument } from '../../base/error.ts';
import { flatten, isList, isTree } from '../../options/dotted.ts';
import { PLAIN_PROTOCOL } from '../../options/filename.ts';
import type { OptionTree } from '../../options/tree.ts';
import { readAt } from '../../storage/storage.ts';
import type { FilterChild, FilterContext, FilterDriver, FilterRole } from '../filter.ts';
import { expandBelow } from './piped.ts';
import { ImageNode, type Reopen } from '../node/node.ts';
import { setAccess } from './bottom.ts';
import { describeFilter } from './describe.ts';
import { filterNode } from './filterNode.ts';
import { refuseBoth, withReferences } from './namedNodes.ts';
import { claimNodeName, ownOptions } from './openOptions.ts';
import { openProtocol } from './openProtocol.ts';
import { noAccess } from './permission.ts';
import { treeOfName } from './reference.ts';
import { accessOf, closeQuietly, noChild, type Scope } from './scope.ts';

/** What opening a filter needs of the rest of the graph. */
export interface FilterOpening {
  openChild(role: FilterRole, child: OptionTree[string], scope: Scope): Promise<FilterChild['node']>;
  readonly reopen: Reopen;
}

/** Opens a filter. The locks of what is below it are those that the layer above it needs. */
export async function openFilter(
  name: string,
  described: OptionTree,
  scope: Scope,
  how: FilterOpening,
): Promise<ImageNode> {
  const { drivers, services } = scope.context;
  const filter = await drivers.filter(name);
  const tree = await withAliases(filter, described, scope);
  const roles = rolesIn(filter, tree);
  const options = ownOptions(tree, [...filter.roles.map(({ role }) => role), ...listRoles(filter, tree)]);
  const given = roles.filter(({ child }) => child !== undefined).map(({ role }) => role);
  filter.check?.(options, given, services);
  // Only a `file` is opened before the driver is asked.
  const isLate = filter.roles[0].role !== 'file';
  if (isLate) claimNodeName(tree, scope);
  const children: FilterChild[] = [];
  try {
    for (const { role, of, child } of roles) {
      if (child === undefined) throw invalidArgument(noChild(role));
      children.push({ role, node: await how.openChild({ ...of, role }, child, scope) });
    }
    if (!isLate) claimNodeName(tree, scope);
    const below = (children.find(({ role }) => role === filter.child) ?? children[0])?.node;
    if (!below) throw invalidArgument(noChild(filter.roles[0].role));
    const node = await filterNode(
      filter,
      {
        below,
        children,
        options,
        readOnly: !scope.writable,
        services,
        findNode: (wanted) => scope.nodes?.get(wanted)?.node,
        readFile: (file) => contentOf(file, scope),
        expand: (method, input) => expandBelow(services, method, input),
        spool: spoolFor(below.name, scope),
        probe: (head, filename) => drivers.probe(head, filename),
      },
      {
        name: nameOf(filter, withReferences(tree, scope.nodes), options, children),
        grows: scope.inherited !== undefined,
        unsafe: scope.cache === 'unsafe',
        reopen: how.reopen,
        tellOfClose: (text) => scope.context.onComplaint?.(text, true),
      },
    );
    await setAccess(node, scope.inherited ?? accessOf(true, scope));
    return node;
  } catch (error) {
    for (const { node } of children.toReversed()) await closeQuietly(node);
    throw error;
  }
}

/** Spools of the host, and a line for the user when one is made. */
function spoolFor(name: string, { context }: Scope): FilterContext['spool'] {
  const { spool } = context.services;
  if (!spool) return {};
  return {
    spool: async () => {
      const made = await spool.create();
      context.onWarning?.(`'${name}' is read out of order: its content is kept in a temporary file`);
      return made;
    },
  };
}

/** The roles of a filter, each with what the tree says of it. */
function rolesIn(
  filter: FilterDriver,
  tree: OptionTree,
): { readonly role: string; readonly of: FilterRole; readonly child: OptionTree[string] | undefined }[] {
  return filter.roles.flatMap((of) => {
    refuseBoth(tree, of.role);
    if (!of.many) return [{ role: of.role, of, child: tree[of.role] }];
    const list = tree[of.role];
    if (isTree(list) && Object.keys(list).length > 0) throw invalidArgument(`Option ${of.role} is not a valid array`);
    return (isList(list) ? list : []).map((child, index) => ({
      role: `${of.role}.${index}`,
      of,
      child,
    }));
  });
}

/** Dotted options that belong to a row of children. */
function listRoles(filter: FilterDriver, tree: OptionTree): string[] {
  const rows = filter.roles.filter(({ many }) => many).map(({ role }) => `${role}.`);
  return Object.keys(tree).filter((key) => rows.some((row) => key.startsWith(row)));
}

/** The tree with children in the place of the options that only name them. */
async function withAliases(filter: FilterDriver, tree: OptionTree, { context }: Scope): Promise<OptionTree> {
  const whole: Record<string, OptionTree[string]> = { ...tree };
  for (const { role, alias, image } of filter.roles) {
    const name = alias === undefined ? undefined : tree[alias];
    if (alias === undefined || typeof name !== 'string') continue;
    delete whole[alias];
    whole[role] ??= await childOfName(context.drivers, name, image ?? false);
  }
  return whole;
}

/** What a name of a child stands for. */
async function childOfName(
  drivers: Scope['context']['drivers'],
  name: string,
  image: boolean,
): Promise<OptionTree[string]> {
  const tree = await treeOfName(drivers, name);
  return image ? tree : (tree['file'] ?? null);
}

/** The name of a filter under which it can be opened again. */
function nameOf(filter: FilterDriver, tree: OptionTree, options: OptionTree, children: readonly FilterChild[]): string {
  const names = Object.fromEntries(children.map(({ role, node }) => [role, node.name]));
  const plain = Object.values(names).every((name) => !name.startsWith('json:'));
  const [first] = children;
  const strong = Object.fromEntries(flatten(options).filter(([key]) => filter.weak?.test(key) !== true));
  if (filter.unnamed && first && Object.keys(strong).length === 0) return first.node.name;
  const printed = plain ? filter.names?.print(strong, names) : undefined;
  return printed ?? describeFilter(withFormats(tree, children), strong, filter.roles);
}

/** The tree with the formats that were found out. */
function withFormats(tree: OptionTree, children: readonly FilterChild[]): OptionTree {
  const whole: Record<string, OptionTree[string]> = { ...tree };
  for (const { role, node } of children) {
    const [list = '', index] = role.split('.');
    const row = whole[list];
    if (index === undefined) whole[role] = withFormat(whole[role], node) ?? null;
    else if (isList(row)) {
      whole[list] = row.map((item, at) => (at === Number(index) ? withFormat(item, node) : item) as OptionTree);
    }
  }
  return whole;
}

function withFormat(child: OptionTree[string] | undefined, node: FilterChild['node']): OptionTree[string] | undefined {
  const isOpen = isTree(child) && child['driver'] === undefined && node instanceof ImageNode;
  return isOpen ? { ...child, driver: node.format } : child;
}

/** A file that an option names, as a whole. */
async function contentOf(filename: string, scope: Scope): Promise<Uint8Array> {
  const tree = { driver: PLAIN_PROTOCOL, filename };
  const file = await openProtocol(tree, { ...scope, writable: false }, noAccess);
  try {
    return await readAt(file, 0, file.size());
  } finally {
    await closeQuietly(file);
  }
}
