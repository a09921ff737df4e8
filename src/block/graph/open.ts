/**
 * Opens images: from a name or an option tree to a graph of nodes. Names on the command line, `json:` names, dotted
 * options and references inside images all become an {@link OptionTree} first, so that there is one way to open.
 */
import { PLAIN_FORMAT } from '../../options/filename.ts';
import { asBlockError, BlockError, invalidArgument } from '../../base/error.ts';
import { MAX_DISK } from '../../base/offset.ts';
import { isTree, normalize } from '../../options/dotted.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { CacheMode } from '../../storage/files.ts';
import type { Storage } from '../../storage/storage.ts';
import type { FormatDriver, OpenIntent } from '../format.ts';
import { openBacking } from './backing.ts';
import { type FileNode, setAccess } from './bottom.ts';
import { NamedChildren } from './children.ts';
import { refuseUnknown } from './strict.ts';
import type { GraphContext } from './context.ts';
import { describeNode } from './describe.ts';
import type { ImageDriver } from '../capabilities.ts';
import type { FilterRole } from '../filter.ts';
import { NamedNodes, named, referredTo, refuseBoth, withReferences } from './namedNodes.ts';
import { ImageNode, type Reopen } from '../node/node.ts';
import { claimNodeName, coerceTree, driverName, isShared, ownOptions, withCommonOptions } from './openOptions.ts';
import { openFilter } from './openFilter.ts';
import { passThrough } from './passThrough.ts';
import { noAccess } from './permission.ts';
import { noticeProbedRaw, probeFormat, startGuard } from './probing.ts';
import { openProtocol } from './openProtocol.ts';
import { treeOfName } from './reference.ts';
import { type Unpacked, unpacked } from './unpack.ts';
import { accessOf, closeQuietly, NO_DRIVER, noChild, notAChild, type Scope, type StillImages } from './scope.ts';

/** What to open, and what for. */
export interface OpenRequest {
  /** File name, `json:{...}` or protocol name; used for messages when `tree` is there. */
  readonly filename: string;
  /** Parsed `--image-opts`; takes the place of the name. */
  readonly tree?: OptionTree;
  /** Driver of the image; absent: probed. */
  readonly format?: string;
  readonly writable?: boolean;
  /** The name that the image is going to have: relative names inside of it count from there. */
  readonly calledAs?: string;
  /** Default `io`. */
  readonly intent?: OpenIntent;
  /** An encrypted image can do without its key, as with the intent `info`. */
  readonly keyless?: boolean;
  /** It is asked where guest data is, and not what it is. */
  readonly mapOnly?: boolean;
  /** Leave the backing image closed. */
  readonly noBacking?: boolean;
  readonly forceShare?: boolean;
  /** The size of a raw image is going to change. */
  readonly resize?: boolean;
  /** Nobody may write meanwhile, not even to a raw image. */
  readonly still?: StillImages;
  readonly cache?: CacheMode;
  /** Whether discarded clusters give their space back to the file system. Default `ignore`. */
  readonly discard?: 'ignore' | 'unmap';
  /** Where the name is that of a compressed file or an archive, what is in it is opened. */
  readonly unpack?: boolean;
  /** What its file should have and has not is an error, also where it could be taken for zeroes. */
  readonly whole?: boolean;
  /** Set where the name is not the user's but an image's own: the gate is asked first. */
  readonly implicit?: { readonly role: string; readonly parent: string; readonly reference: string };
}

/**
 * Opens an image and, unless told otherwise, its backing chain.
 * @throws BlockError whose message begins with `Could not open 'NAME': `.
 */
export async function openImage(context: GraphContext, request: OpenRequest): Promise<ImageNode> {
  try {
    return await openRequest(context, request);
  } catch (thrown) {
    const { filename, format } = request;
    const about = { filename, ...(format === undefined ? {} : { format }) };
    throw asBlockError(thrown).within(about).prepend(`Could not open '${filename}': `);
  }
}

/** {@link openImage} without the name in front of errors. */
export async function openRequest(context: GraphContext, request: OpenRequest): Promise<ImageNode> {
  const tree = normalize(request.tree ?? (await treeOfName(context.drivers, request.filename, request.format)));
  if (request.implicit) await context.gate({ ...request.implicit, target: tree });
  return openNode(tree, {
    context,
    writable: request.writable ?? false,
    intent: request.intent ?? 'io',
    keyless: request.keyless ?? request.intent === 'info',
    mapOnly: request.mapOnly ?? false,
    noBacking: request.noBacking ?? false,
    forceShare: request.forceShare ?? false,
    resize: request.resize ?? false,
    still: request.still,
    cache: request.cache,
    discard: request.discard,
    nodes: context.nodes ?? new NamedNodes(),
    above: [],
    whole: request.whole ?? false,
    unpack: (request.unpack ?? false) && context.drivers.hasContainers,
    ...(request.calledAs === undefined ? {} : { calledAs: request.calledAs }),
  });
}

async function openNode(tree: OptionTree, above: Scope): Promise<ImageNode> {
  if (tree['backing'] === '') {
    above.context.onWarning?.('Use of "backing": "" is deprecated; use "backing": null instead');
    return openNode({ ...tree, backing: null }, above);
  }
  const scope = withCommonOptions(tree, above);
  const name = driverName(tree);
  const { drivers } = scope.context;
  if (name !== undefined && drivers.isProtocol(name)) {
    const access = scope.inherited ?? accessOf(true, scope);
    claimNodeName(tree, scope);
    const node = passThrough(await openProtocol(tree, scope, access), name, reopener(tree, scope, undefined));
    return named(node, tree, scope);
  }
  if (name !== undefined && drivers.isFilter(name)) {
    return named(
      await openFilter(name, tree, scope, { openChild, reopen: reopener(tree, scope, undefined) }),
      tree,
      scope,
    );
  }
  if (name !== undefined) await drivers.format(name);
  refuseBoth(tree, 'file');
  if (tree['file'] === undefined) {
    const problem = name === undefined ? NO_DRIVER : noChild('file');
    throw invalidArgument(problem);
  }
  const file = await openFileChild(tree['file'], scope);
  try {
    return named(await openLayer(tree, file, scope), tree, scope);
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

/** How a node is opened again: as before, except for what changes. A format that was probed stays. */
function reopener(tree: OptionTree, scope: Scope, probed: string | undefined): Reopen {
  return (how) => openNode(tree, { ...scope, resize: false, nodes: undefined, probed, ...how });
}

/** Opens the `file` child, without locks yet: which ones are needed is known when the format is. */
async function openFileChild(child: OptionTree[string], scope: Scope): Promise<FileNode> {
  return openChild({ role: 'file' }, child, scope);
}

/** @param image the format of what is there is found out where it is not given. */
async function openChild(
  { role, image = false }: FilterRole,
  child: OptionTree[string],
  scope: Scope,
): Promise<FileNode> {
  const known = referredTo(role, child, scope);
  if (known) return known;
  if (!isTree(child)) throw notAChild(role, child);
  const driver = driverName(child);
  const { drivers } = scope.context;
  const isImage = driver === undefined ? image : drivers.isFormat(driver) || drivers.isFilter(driver);
  if (isImage) return openNode(child, { ...scope, inherited: noAccess, probed: undefined, noBacking: false });
  const own = withCommonOptions(child, scope);
  claimNodeName(child, scope);
  return named(await openProtocol(child, own, noAccess), child, scope);
}

/** Takes the locks that the layer needs, opens the format, and then what is below it. */
async function openLayer(tree: OptionTree, packed: FileNode, scope: Scope): Promise<ImageNode> {
  const given = driverName(tree);
  const isPlain = given !== undefined && ((await scope.context.drivers.format(given)).plain ?? false);
  const unpack = scope.unpack === true && !isPlain;
  if (!unpack) return openFormat(tree, { file: packed }, scope);
  const from = await unpacked(packed, tree['file'], scope, reopener(tree, scope, undefined));
  const { file } = from;
  if (file === packed) return openFormat(tree, from, scope);
  try {
    return await openFormat(tree, from, scope);
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

async function openFormat(tree: OptionTree, { file, head }: Unpacked, scope: Scope): Promise<ImageNode> {
  const given = driverName(tree);
  const format = given ?? scope.probed ?? (await probeFormat(file, scope, head));
  const guessedRaw = format === PLAIN_FORMAT && given === undefined && scope.writable;
  const driver = await scope.context.drivers.format(format);
  claimNodeName(tree, scope);
  if (scope.context.services.limits.strict) await refuseUnknown(format, given !== undefined, file, scope);
  const child = tree['file'];
  const shared = isTree(child) ? { ...scope, forceShare: isShared(child, scope) } : scope;
  const access = driver.plain && scope.inherited ? scope.inherited : accessOf(driver.sharesFile ?? false, shared);
  await setAccess(file, access);
  const backingIsOwn = scope.noBacking && tree['backing'] !== null;
  const roles = new Set(backingIsOwn ? ['file'] : ['file', 'backing']);
  const guard = guessedRaw ? startGuard(scope, file.name) : {};
  const image = await openDriver(driver, tree, file, scope, roles, guard);
  if (guessedRaw && scope.probed === undefined) noticeProbedRaw(scope, file.name);
  let backing: ImageNode | undefined;
  try {
    if (image.virtualSize > MAX_DISK) {
      throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
    }
    backing = await openBacking(image, tree, file, { ...scope, unpack: false }, openNode);
    const { unknown } = coerceTree(driver.openOptions, ownOptions(tree, roles));
    if (unknown !== undefined) {
      throw invalidArgument(`Block format '${format}' does not support the option '${unknown}'`);
    }
    return new ImageNode({
      name: describeNode(withReferences(tree, scope.nodes), format, file.name, backing !== undefined),
      format,
      plain: driver.plain ?? false,
      compresses: driver.compresses ?? false,
      grows: (driver.plain ?? false) && scope.inherited !== undefined,
      driver: image,
      readOnly: !scope.writable,
      reopen: reopener(tree, scope, format),
      probed: given === undefined,
      ...tellOfMissing(scope),
      unsafe: scope.cache === 'unsafe',
      ...(file.debugEvent ? { tellOfClose: (text) => scope.context.onComplaint?.(text, true) } : {}),
      file,
      ...(backing ? { backing } : {}),
    });
  } catch (error) {
    await closeQuietly(image);
    await closeQuietly(backing);
    throw error;
  }
}

/**
 * Who reads guest data, and nobody else, is told of data that is not there. While an image grows, room may be recorded
 * before the file reaches that far.
 */
function tellOfMissing({ context, writable, intent, mapOnly, whole }: Scope): { tellMissing?: (text: string) => void } {
  if (whole) return { tellMissing: refuseMissing };
  return writable || intent !== 'io' || mapOnly ? {} : { tellMissing: (text) => context.onWarning?.(text) };
}

function refuseMissing(text: string): never {
  throw new BlockError('io', text, { posix: { code: 'EIO', text } });
}

async function openDriver(
  driver: FormatDriver,
  tree: OptionTree,
  file: FileNode,
  scope: Scope,
  roles: Set<string>,
  guard: { admitStart?(head: Uint8Array): void },
): Promise<ImageDriver> {
  const { values } = coerceTree(driver.openOptions, knownOptions(tree, driver));
  const opened: Storage[] = [];
  const children = new NamedChildren(tree, file, scope, openFileChild);
  try {
    return await driver.open({
      file,
      filename: file.name,
      readOnly: !scope.writable,
      intent: scope.intent,
      keyless: scope.keyless,
      options: values,
      services: scope.context.services,
      ...guard,
      ...tellOfMissing(scope),
      warn: (text, hint) => scope.context.onWarning?.(text, hint),
      notice: (text) => scope.context.onNotice?.(text),
      complain: (text, closing) => scope.context.onComplaint?.(text, closing),
      leaveChild: (role) => roles.add(role),
      openChild: async (role, reference, how = {}) => {
        roles.add(role);
        const child = await children.open({ role, reference, ...how });
        if (child) opened.push(child);
        return child;
      },
    });
  } catch (error) {
    for (const child of opened) await closeQuietly(child);
    throw error;
  }
}

function firstPart(name: string): string {
  return name.split('.', 1)[0] ?? name;
}

/** The part of the tree that the driver's table knows; children become known only while the driver opens. */
function knownOptions(tree: OptionTree, driver: FormatDriver): OptionTree {
  const heads = new Set(Object.keys(driver.openOptions).map(firstPart));
  return Object.fromEntries(
    Object.entries(ownOptions(tree, ['file', 'backing'])).filter(([name]) => heads.has(firstPart(name))),
  );
}
