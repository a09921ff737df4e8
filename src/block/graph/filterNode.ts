/** A filter as a node of a graph. */
import type { OptionTree } from '../../options/tree.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { FilterContext, FilterDriver } from '../filter.ts';
import { ImageNode, type Reopen } from '../node/node.ts';
import { describeFilter } from './describe.ts';
import { passThroughDriver } from './passThrough.ts';

/**
 * A filter over `below`, as a node of a graph.
 * @param tree the options that describe the node, its child included.
 * @param how `unsafe`: nothing is flushed.
 */
export async function filterNode(
  filter: FilterDriver,
  tree: OptionTree,
  context: FilterContext,
  how: { readonly readOnly: boolean; readonly grows: boolean; readonly unsafe: boolean; readonly reopen: Reopen },
): Promise<ImageNode> {
  const { below, options } = context;
  const plain = below.name.startsWith('json:') ? undefined : filter.names?.print(options, below.name);
  const name = plain ?? describeFilter(tree, filter.child, options);
  const { readOnly, grows, reopen } = how;
  // Whoever asks where bytes are wants to know about the file.
  const storage = new CheckedStorage(await filter.open(context), { name: below.name, readOnly });
  const driver = passThroughDriver(storage, { unsafe: how.unsafe, opaque: filter.opaque ?? false });
  return new ImageNode({
    name,
    format: filter.name,
    driver,
    readOnly,
    grows,
    reopen,
    file: below,
    filters: filter.child,
  });
}
