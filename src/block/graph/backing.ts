/** Opens the backing image of an image. */
import { BlockError, invalidArgument, invalidImage, withPrefix } from '../../base/error.ts';
import { isTree, normalize } from '../../options/dotted.ts';
import { PLAIN_PROTOCOL } from '../../options/filename.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Storage } from '../../storage/storage.ts';
import type { BackingReference, ImageDriver } from '../capabilities.ts';
import { ImageNode } from '../node/node.ts';
import { identityOf, placeName } from './bottom.ts';
import { placed } from './names.ts';
import { referredTo, refuseBoth } from './namedNodes.ts';
import { passThrough } from './passThrough.ts';
import { treeOfName } from './reference.ts';
import { notAChild, type Scope, stillBelow } from './scope.ts';

/**
 * The image below `image`, as options or the image itself name it; undefined where there is none.
 * @param tree options of the image. @param openNode opens what a tree describes.
 */
export async function openBacking(
  image: ImageDriver,
  tree: OptionTree,
  file: Storage,
  scope: Scope,
  openNode: (tree: OptionTree, scope: Scope) => Promise<ImageNode>,
): Promise<ImageNode | undefined> {
  const given = tree['backing'];
  if (scope.noBacking || given === null || given === '' || (!image.backing?.reference && given === undefined))
    return undefined;
  refuseBoth(tree, 'backing');
  if (typeof given === 'string' && given === tree['node-name']) {
    throw invalidArgument(`Making '${given}' a backing child of '${given}' would create a cycle`);
  }
  const known = referredTo('backing', given, { ...scope, writable: false });
  if (known) return known instanceof ImageNode ? known : passThrough(known, known.protocol ?? PLAIN_PROTOCOL);
  if (given !== undefined && !isTree(given)) throw notAChild('backing', given).prepend('Could not open backing file: ');
  const parent = scope.calledAs ?? placeName(file);
  const identity = identityOf(file);
  if (identity !== undefined && scope.above.includes(identity)) {
    throw invalidImage(`Backing file '${parent}' creates an infinite loop.`);
  }
  const { chainDepth } = scope.context.services.limits;
  if (scope.above.length >= chainDepth) {
    throw new BlockError('limit', `The backing chain is deeper than ${chainDepth} images`);
  }
  const { inherited: _, calledAs: __, ...own } = scope;
  return withPrefix('Could not open backing file: ', async () => {
    const target = await backingTree(image.backing?.reference, given, parent, scope);
    return openNode(target, {
      ...own,
      above: [...scope.above, identity ?? ''],
      writable: false,
      resize: false,
      still: stillBelow(scope),
      probed: undefined,
    });
  });
}

/** The option tree of a backing image: what the user gave, completed by what the image says. */
async function backingTree(
  reference: BackingReference | undefined,
  given: OptionTree | undefined,
  parent: string,
  scope: Scope,
): Promise<OptionTree> {
  const file = given?.['file'];
  const names =
    given?.['filename'] !== undefined || (isTree(file) ? file['filename'] !== undefined : file !== undefined);
  if (given && (names || (file !== undefined && !reference))) return given;
  if (!reference) return given ?? {};
  // What only describes the file is taken for more about the one that the image names.
  if (file !== undefined) throw invalidArgument("Can't specify 'file' and 'filename' options at the same time");
  const format = given?.['driver'] === undefined ? reference.format : undefined;
  const name = await placed(scope.context, parent, reference.file);
  const named = await treeOfName(scope.context.drivers, name, format);
  const target = normalize({ ...named, ...given });
  await scope.context.gate({ role: 'backing', parent, reference: reference.file, target });
  return target;
}
