/** Opens the backing image of an image. */
import { BlockError, invalidArgument, invalidImage, unsupported, withPrefix } from '../../base/error.ts';
import { flatten, isTree, normalize } from '../../options/dotted.ts';
import { isRelative, PLAIN_PROTOCOL } from '../../options/filename.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Storage } from '../../storage/storage.ts';
import type { BackingReference, ImageDriver } from '../capabilities.ts';
import { ImageNode } from '../node/node.ts';
import { identityOf, placeless, placeName } from './bottom.ts';
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
  if (!image.backing && image.quirks?.backedByOptions !== true)
    throw unsupported("Driver doesn't support backing files");
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
  const nowhere = isNamed(given) ? undefined : placeless(file);
  if (nowhere !== undefined && isRelative(image.backing?.reference?.file ?? '/')) {
    throw invalidArgument(`Cannot generate a base directory for ${nowhere} nodes`);
  }
  const { inherited: _, calledAs: __, ...own } = scope;
  return withPrefix('Could not open backing file: ', async () => {
    const target = await backingTree(image.backing?.reference, given, parent, scope);
    return openNode(target, {
      ...own,
      above: [...scope.above, identity ?? ''],
      writable: false,
      insists: false,
      resize: false,
      still: stillBelow(scope),
      probed: undefined,
    });
  });
}

/** Where options ask for a protocol without a format, the name is all its own. */
async function bareTree(
  { context: { drivers } }: Scope,
  name: string,
  given: OptionTree | undefined,
): Promise<OptionTree | undefined> {
  const driver = given?.['driver'];
  if (!given || typeof driver !== 'string' || !drivers.isProtocol(driver)) return undefined;
  const protocol = await drivers.protocol(driver);
  const [said] = flatten(given).find(([key]) => protocol.named?.test(key)) ?? [];
  if (said !== undefined) throw invalidArgument(`Option '${said}' cannot be used with a file name`);
  return protocol.parseFilename(name);
}

/** True for options that say which file it is, whatever an image says. */
function isNamed(given: OptionTree | undefined): boolean {
  const file = given?.['file'];
  return given?.['filename'] !== undefined || (isTree(file) ? file['filename'] !== undefined : file !== undefined);
}

/** The option tree of a backing image: what the user gave, completed by what the image says. */
async function backingTree(
  reference: BackingReference | undefined,
  given: OptionTree | undefined,
  parent: string,
  scope: Scope,
): Promise<OptionTree> {
  const file = given?.['file'];
  if (given && (isNamed(given) || (file !== undefined && !reference))) return given;
  if (!reference) return given ?? {};
  // What only describes the file is taken for more about the one that the image names.
  if (file !== undefined) throw invalidArgument("Can't specify 'file' and 'filename' options at the same time");
  const format = given?.['driver'] === undefined ? reference.format : undefined;
  const name = await placed(scope.context, parent, reference.file);
  const named = (await bareTree(scope, name, given)) ?? (await treeOfName(scope.context.drivers, name, format));
  const target = normalize({ ...named, ...given });
  await scope.context.gate({ role: 'backing', parent, reference: reference.file, target });
  return target;
}
