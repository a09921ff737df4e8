/**
 * Opens images: from a name or an option tree to a graph of nodes. Names on the command line, `json:` names, dotted
 * options and references inside images all become an {@link OptionTree} first, so that there is one way to open.
 */
import { asBlockError, BlockError, withPrefix } from '../base/error.ts';
import { coerceOptions } from '../options/coerce.ts';
import { flattenTree } from '../options/dotted.ts';
import { combineNames, hasProtocol } from '../options/filename.ts';
import type { OptionLeaf, OptionTree } from '../options/tree.ts';
import type { CacheMode, FileAccess } from '../storage/files.ts';
import type { Storage } from '../storage/storage.ts';
import type { GraphContext } from './context.ts';
import { describeNode } from './describe.ts';
import type { BackingReference, FormatDriver, ImageDriver, OpenIntent, ProtocolStorage } from './driver.ts';
import { ImageNode } from './node.ts';
import { passThrough } from './passThrough.ts';
import { accessFor, noAccess } from './permission.ts';
import { PROBE_SIZE } from './registry.ts';
import { treeOfName } from './reference.ts';

/** Deepest chain of backing images that is opened. */
const MAX_DEPTH = 200;

/** What to open, and what for. */
export interface OpenRequest {
  /** File name, `json:{...}` or protocol name; used for messages when `tree` is there. */
  readonly filename: string;
  /** Parsed `--image-opts`; takes the place of the name. */
  readonly tree?: OptionTree;
  /** Driver of the image; absent: probed. */
  readonly format?: string;
  readonly writable?: boolean;
  /** Default `io`. */
  readonly intent?: OpenIntent;
  /** Leave the backing image closed. */
  readonly noBacking?: boolean;
  readonly forceShare?: boolean;
  /** The size of a raw image is going to change. */
  readonly resize?: boolean;
  readonly cache?: CacheMode;
  /** Whether discarded clusters give their space back to the file system. Default `ignore`. */
  readonly discard?: 'ignore' | 'unmap';
  /** Where the name stands when it is an image's own reference: the gate is asked, relative names count from there. */
  readonly implicit?: { readonly role: string; readonly parent: string; readonly reference: string };
}

/** Settings that a whole graph shares. */
interface Scope {
  readonly context: GraphContext;
  readonly writable: boolean;
  readonly intent: OpenIntent;
  readonly noBacking: boolean;
  readonly forceShare: boolean;
  readonly resize: boolean;
  readonly cache: CacheMode | undefined;
  readonly discard: 'ignore' | 'unmap' | undefined;
  /** Identities of the files of the images above; a repetition is a loop. */
  readonly above: readonly string[];
  /** Access that the layer above asks for, when this node is its `file`. */
  readonly inherited?: FileAccess;
}

/**
 * Opens an image and, unless told otherwise, its backing chain.
 * @throws BlockError whose message begins with `Could not open 'NAME': `.
 */
export async function openImage(context: GraphContext, request: OpenRequest): Promise<ImageNode> {
  return withPrefix(`Could not open '${request.filename}': `, () => openRequest(context, request));
}

/** {@link openImage} without the name in front of errors. */
export async function openRequest(context: GraphContext, request: OpenRequest): Promise<ImageNode> {
  const named = request.tree ?? (await treeOfName(context.drivers, request.filename, request.format));
  if (request.implicit) await context.gate({ ...request.implicit, target: named });
  return openNode(named, {
    context,
    writable: request.writable ?? false,
    intent: request.intent ?? 'io',
    noBacking: request.noBacking ?? false,
    forceShare: request.forceShare ?? false,
    resize: request.resize ?? false,
    cache: request.cache,
    discard: request.discard,
    above: [],
  });
}

function asTree(value: OptionTree[string] | undefined): OptionTree | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as OptionTree) : undefined;
}

function stringOption(tree: OptionTree, name: string): string | undefined {
  const value = tree[name];
  return typeof value === 'string' ? value : undefined;
}

async function openNode(tree: OptionTree, scope: Scope): Promise<ImageNode> {
  const name = stringOption(tree, 'driver');
  const { drivers } = scope.context;
  if (name !== undefined && drivers.isProtocol(name)) {
    const storage = await openProtocol(tree, scope, scope.inherited ?? accessOf('raw', scope));
    return passThrough(storage, name);
  }
  if (name !== undefined && (await drivers.format(name)).fileless) return openImageLayer(tree, undefined, scope);
  if (tree['file'] === undefined) {
    throw new BlockError(
      'invalid-argument',
      name === undefined ? 'Must specify either driver or file' : 'A block device must be specified for "file"',
    );
  }
  const file = await openFileChild(tree['file'], scope);
  try {
    return await openImageLayer(tree, file, scope);
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

function accessOf(format: string, scope: Scope): FileAccess {
  return accessFor({
    format,
    writable: scope.writable,
    describeOnly: scope.intent === 'info',
    forceShare: scope.forceShare,
    resize: scope.resize,
  });
}

/** Opens the `file` child, without locks yet: which ones are needed is known when the format is. */
async function openFileChild(child: NonNullable<OptionTree[string]>, scope: Scope): Promise<ProtocolStorage | ImageNode> {
  const tree = asTree(child);
  if (!tree) {
    throw new BlockError('not-found', `Cannot find device='${String(child)}' nor node-name='${String(child)}'`);
  }
  const driver = stringOption(tree, 'driver');
  if (driver !== undefined && scope.context.drivers.isFormat(driver)) {
    return openNode(tree, { ...scope, inherited: noAccess });
  }
  return openProtocol(tree, scope, noAccess);
}

async function openProtocol(tree: OptionTree, scope: Scope, access: FileAccess): Promise<ProtocolStorage> {
  const { drivers, services } = scope.context;
  let options = tree;
  let name = stringOption(tree, 'driver');
  const filename = stringOption(tree, 'filename');
  if (name === undefined) {
    if (filename === undefined && Object.keys(tree).length === 0) {
      throw new BlockError('invalid-argument', 'A block device must be specified for "file"');
    }
    const prefix = filename === undefined ? undefined : hasProtocol(filename);
    const protocol = prefix === undefined ? await drivers.protocol('file') : await drivers.protocolOfPrefix(prefix);
    name = protocol.name;
    if (filename !== undefined) {
      const { filename: _, ...others } = tree;
      options = { ...others, ...protocol.parseFilename(filename) };
    }
  }
  const protocol = await drivers.protocol(name);
  const leaves = flattenTree(withoutCommon(options));
  const unknown = [...leaves.keys()].find((key) => !(key in protocol.openOptions));
  const values = coerceOptions(
    protocol.openOptions,
    new Map([...leaves].filter(([key]) => key in protocol.openOptions)),
  );
  const storage = await protocol.open(
    { services, writable: scope.writable, access, cache: scope.cache, discard: scope.discard },
    values,
  );
  if (unknown === undefined) return storage;
  await closeQuietly(storage);
  throw new BlockError('invalid-argument', `Block protocol '${name}' doesn't support the option '${unknown}'`);
}

/** Options that the graph itself understands, for every driver. */
const COMMON = ['driver', 'node-name', 'read-only', 'auto-read-only', 'discard', 'detect-zeroes', 'cache', 'force-share'];

function withoutCommon(tree: OptionTree): OptionTree {
  return Object.fromEntries(Object.entries(tree).filter(([key]) => !COMMON.includes(key)));
}

async function probeFormat(file: Storage, name: string, scope: Scope): Promise<string> {
  const head = new Uint8Array(Math.min(PROBE_SIZE, file.size()));
  try {
    await file.read(0, head);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Could not read image for determining its format: ${error.strerror}`);
  }
  return scope.context.drivers.probe(head, name);
}

/** Takes the locks that the layer needs, opens the format, and then what is below it. */
async function openImageLayer(
  tree: OptionTree,
  file: ProtocolStorage | ImageNode | undefined,
  scope: Scope,
): Promise<ImageNode> {
  const fileName = file?.name ?? '';
  const format = stringOption(tree, 'driver') ?? (file ? await probeFormat(file, fileName, scope) : 'raw');
  const driver = await scope.context.drivers.format(format);
  const access = format === 'raw' && scope.inherited ? scope.inherited : accessOf(format, scope);
  if (file) await setAccess(file, access);
  const used = new Set(['file', 'backing']);
  const opened: Storage[] = [];
  const image = await openDriver(driver, tree, file, scope, used, opened);
  try {
    const backing = await openBacking(image, tree, fileName, file, scope);
    const node = new ImageNode({
      name: describeNode(tree, format, fileName, backing !== undefined),
      format,
      driver: image,
      readOnly: !scope.writable,
      ...(file ? { file } : {}),
      ...(backing ? { backing } : {}),
    });
    const { file: _, backing: __, ...own } = tree;
    const rest = { ...own, ...(scope.noBacking && tree['backing'] ? { backing: tree['backing'] } : {}) };
    await refuseUnknown(node, driver, rest, used);
    return node;
  } catch (error) {
    await closeQuietly(image);
    throw error;
  }
}

async function setAccess(file: ProtocolStorage | ImageNode, access: FileAccess): Promise<void> {
  if (!(file instanceof ImageNode)) await file.setAccess?.(access);
  else if (file.format === 'raw' && file.file) await setAccess(file.file as ProtocolStorage | ImageNode, access);
}

async function refuseUnknown(node: ImageNode, driver: FormatDriver, rest: OptionTree, used: Set<string>): Promise<void> {
  for (const key of flattenTree(withoutCommon(rest)).keys()) {
    const role = [...used].some((name) => key === name || key.startsWith(`${name}.`));
    if (key in driver.openOptions || (role && !key.startsWith('backing'))) continue;
    await closeQuietly(node.backing);
    throw new BlockError('invalid-argument', `Block format '${driver.name}' does not support the option '${key}'`);
  }
}

async function openDriver(
  driver: FormatDriver,
  tree: OptionTree,
  file: Storage | undefined,
  scope: Scope,
  used: Set<string>,
  opened: Storage[],
): Promise<ImageDriver> {
  const leaves = flattenTree(withoutCommon(tree));
  const known = new Map<string, OptionLeaf>([...leaves].filter(([key]) => key in driver.openOptions));
  try {
    return await driver.open({
      file: file as Storage,
      filename: file?.name ?? '',
      readOnly: !scope.writable,
      intent: scope.intent,
      options: coerceOptions(driver.openOptions, known),
      services: scope.context.services,
      warn: (text) => scope.context.onWarning?.(text),
      openChild: async (role, reference, how = {}) => {
        used.add(role);
        const child = await openNamedChild(role, reference, how, tree, file?.name ?? '', scope);
        if (child) opened.push(child);
        return child;
      },
    });
  } catch (error) {
    for (const child of opened) await closeQuietly(child);
    throw error;
  }
}

/** Opens a storage that an image names (a data file, an extent), or that an option of that role names instead. */
async function openNamedChild(
  role: string,
  reference: string | undefined,
  how: { readonly writable?: boolean; readonly optional?: boolean },
  tree: OptionTree,
  parent: string,
  scope: Scope,
): Promise<Storage | undefined> {
  const writable = how.writable ?? scope.writable;
  const inner: Scope = { ...scope, writable };
  const given = asTree(tree[role]);
  if (tree[role] !== undefined && !given) {
    throw new BlockError(
      'not-found',
      `Cannot find device='${String(tree[role])}' nor node-name='${String(tree[role])}'`,
    );
  }
  if (!given && reference === undefined) {
    if (how.optional) return undefined;
    throw new BlockError('invalid-argument', `A block device must be specified for "${role}"`);
  }
  let target = given;
  if (!target) {
    const name = combineNames(parent, reference as string);
    target = { driver: 'file', filename: name };
    await scope.context.gate({ role, parent, reference: reference as string, target });
  }
  const child = await openFileChild(target, inner);
  try {
    await setAccess(child, accessOf('data', inner));
    return child;
  } catch (error) {
    await closeQuietly(child);
    throw error;
  }
}

async function openBacking(
  image: ImageDriver,
  tree: OptionTree,
  parentName: string,
  file: ProtocolStorage | ImageNode | undefined,
  scope: Scope,
): Promise<ImageNode | undefined> {
  if (scope.noBacking || tree['backing'] === null) return undefined;
  const given = asTree(tree['backing']);
  if (tree['backing'] !== undefined && !given && tree['backing'] !== '') {
    const name = String(tree['backing']);
    throw new BlockError('not-found', `Cannot find device='${name}' nor node-name='${name}'`);
  }
  if (tree['backing'] === '' || (!image.backing && !given)) return undefined;
  const identity = file instanceof ImageNode ? undefined : file?.identity;
  if (identity !== undefined && scope.above.includes(identity)) {
    throw new BlockError('invalid-image', `Backing file '${parentName}' creates an infinite loop.`);
  }
  if (scope.above.length >= MAX_DEPTH) {
    throw new BlockError('limit', `The backing chain is deeper than ${MAX_DEPTH} images`);
  }
  const above = identity === undefined ? [...scope.above, ''] : [...scope.above, identity];
  const target = await backingTree(image.backing, given, parentName, scope);
  return withPrefix('Could not open backing file: ', () =>
    openNode(target, { ...inheritedScope(scope), above, writable: false, resize: false }),
  );
}

function inheritedScope(scope: Scope): Scope {
  const { inherited: _, ...own } = scope;
  return own;
}

/** The option tree of a backing image: what the user gave, completed by what the image says. */
async function backingTree(
  reference: BackingReference | undefined,
  given: OptionTree | undefined,
  parent: string,
  scope: Scope,
): Promise<OptionTree> {
  if (given && (given['file'] !== undefined || given['filename'] !== undefined)) return given;
  if (!reference) return given ?? {};
  const name = combineNames(parent, reference.file);
  const format = given?.['driver'] === undefined ? reference.format : undefined;
  if (format !== undefined && !scope.context.drivers.has(format)) {
    throw new BlockError('unsupported', `Unknown driver '${format}'`).prepend('Could not open backing file: ');
  }
  const target = { ...(await treeOfName(scope.context.drivers, name, format)), ...given };
  await scope.context.gate({ role: 'backing', parent, reference: reference.file, target });
  return target;
}

/** Closes something after a failure; a second failure would only hide the first. */
async function closeQuietly(what: { close(): unknown } | undefined): Promise<void> {
  try {
    await what?.close();
  } catch {
    // The first error is the one to report.
  }
}

