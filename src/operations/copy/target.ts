/**
 * New images that are all or nothing: they get their name when they are complete. Where the name is taken already (also by
 * a device, or a link that leads nowhere yet), and for images of several files, the target is written in place, as the real
 * tool does, unless it is to be replaced.
 */
import { PLAIN_FORMAT } from '../../options/filename.ts';
import { asBlockError, BlockError, unsupported, withStrerror } from '../../base/error.ts';
import type { ImageNode } from '../../block/node/node.ts';
import { openNamed } from '../../block/graph/names.ts';
import { openImage } from '../../block/graph/open.ts';
import { accessFor } from '../../block/graph/permission.ts';
import { treeOfName } from '../../block/graph/reference.ts';
import type { ProtocolNames, ProtocolStorage } from '../../block/protocol.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { CacheMode, FileDraft, FileStatus } from '../../storage/files.ts';
import type { OperationContext } from '../context.ts';
import { writeImage } from '../create.ts';
import type { NewImage } from '../options.ts';
import type { ConvertRequest } from '../requests.ts';

/** What to create, and how to open it for writing. */
export interface TargetRequest {
  readonly filename: string;
  readonly image: NewImage;
  /** Values of the format's options, size included. */
  readonly options: AnyOptionValues;
  /** Values of the protocol's options. */
  readonly protocolOptions: AnyOptionValues;
  readonly cache: CacheMode;
  /** Open the backing image too. */
  readonly withBacking: boolean;
  /** In front of errors of creating the image. */
  readonly prefix: string;
  /** An image that is there already is replaced when the new one is complete, instead of being written over. */
  readonly replace?: boolean;
  /** Names that the image has from the start are durable, too, when it is finished. */
  readonly durable?: boolean;
}

/** How the target is written: what has to be durable waits for the medium. */
export function targetCacheOf({
  targetCache = 'unsafe',
  durable = false,
}: Pick<ConvertRequest, 'durable' | 'targetCache'>): CacheMode {
  return durable && targetCache === 'unsafe' ? 'writeback' : targetCache;
}

/** A new image that is being written. */
export interface Target {
  readonly node: ImageNode;
  /** The image reads as zeroes (or as its backing image) where nothing was written yet. */
  readonly zeroed: boolean;
  /** Closes the image; from then on it is there under its own name. */
  finish(): Promise<void>;
  /** Closes the image after a failure; a new file is gone then. */
  abandon(): Promise<void>;
}

/** Creates and opens a new image. */
export async function createTarget(context: OperationContext, request: TargetRequest): Promise<Target> {
  const place = await placeOf(context, request);
  const at = place.draft?.at;
  const inner = at === undefined ? context : namingContext(context, at, request.filename);
  const name = at ?? request.filename;
  try {
    await writeNew(inner, request, at);
    const node = await openImage(inner, {
      filename: name,
      ...(await descriptionOf(context, name, request)),
      ...(at === undefined ? {} : { calledAs: request.filename }),
      writable: true,
      noBacking: !request.withBacking,
      cache: request.cache,
      discard: 'unmap',
    });
    // Zeroes in a file are no zeroes to whom they are encrypted sectors.
    const { encrypted } = await node.info();
    const zeroed = (place.regular && !encrypted) || (await readsAsNothing(node));
    const settle = async (): Promise<void> =>
      place.draft || !request.durable
        ? undefined
        : request.image.protocol?.names?.settle?.(context.services, request.filename);
    return new CreatedTarget(node, zeroed, { ...place, settle }, request.filename);
  } catch (thrown) {
    await giveUp(place);
    throw naming(asBlockError(thrown), at, request.filename);
  }
}

/** Options of a new image that it takes to open it. */
const KEY_OPTIONS = ['key-secret', 'encrypt.key-secret'];

/** How the new image is opened: by its format, and with the key and the data file that it was made with. */
async function descriptionOf(
  context: OperationContext,
  name: string,
  { image, options }: TargetRequest,
): Promise<{ readonly format: string } | { readonly tree: OptionTree }> {
  const format = image.format.name;
  const keys: Record<string, string> = {};
  for (const option of KEY_OPTIONS) {
    const value = options[option];
    if (typeof value === 'string') keys[option] = value;
  }
  const children: Record<string, OptionTree> = {};
  const dataFile = options['data_file'];
  // The image is going to look for it next to itself; it was made where the user said.
  if (typeof dataFile === 'string') children['data-file'] = await treeOfName(context.drivers, dataFile, PLAIN_FORMAT);
  if (Object.keys(keys).length + Object.keys(children).length === 0) return { format };
  return { tree: { ...(await treeOfName(context.drivers, name, format)), ...keys, ...children } };
}

async function writeNew(context: OperationContext, request: TargetRequest, at: string | undefined): Promise<void> {
  const where = { filename: request.filename, ...(at === undefined ? {} : { at }) };
  await prefixed(request, () => writeImage(context, where, request.image, request.options, request.protocolOptions));
}

class CreatedTarget implements Target {
  readonly node: ImageNode;
  readonly zeroed: boolean;
  readonly #place: Place;
  readonly #filename: string;

  constructor(node: ImageNode, zeroed: boolean, place: Place, filename: string) {
    this.node = node;
    this.zeroed = zeroed;
    this.#place = place;
    this.#filename = filename;
  }

  async finish(): Promise<void> {
    const { draft, old, settle } = this.#place;
    try {
      await this.node.flush();
      await this.node.close();
      await draft?.publish();
      await settle?.();
    } catch (thrown) {
      await this.abandon();
      throw naming(asBlockError(thrown), draft?.at, this.#filename);
    }
    await old?.close();
  }

  async abandon(): Promise<void> {
    await this.node.close().catch(() => undefined);
    await giveUp(this.#place);
  }
}

/** An image that was there before; `zeroed` as in {@link Target}. It stays when something fails. */
export function existingTarget(node: ImageNode, zeroed: boolean): Target {
  const finish = async (): Promise<void> => {
    try {
      await withStrerror('Failed to flush target image', async () => node.flush());
    } catch (error) {
      await node.close().catch(() => undefined);
      throw error;
    }
    await node.close();
  };
  return { node, zeroed, finish, abandon: () => node.close().catch(() => undefined) };
}

/** What cannot be replaced as a whole: devices, and names that can only be opened. */
const NOT_REGULAR = 'it is not a regular file';

/** Where a target is built. */
interface Place {
  /** The file until it gets its name; undefined: in place. */
  readonly draft?: FileDraft;
  /** The target is a regular file (and so empty at first), or becomes one. */
  readonly regular: boolean;
  /** The file that is going to be replaced: nobody else may use it meanwhile. */
  readonly old?: ProtocolStorage;
  /** Makes durable that there is such a name, where that is wanted and does not come with the draft. */
  readonly settle?: () => Promise<void>;
}

async function giveUp({ draft, old }: Place): Promise<void> {
  // The failure that led here is the one to report.
  await draft?.discard().catch(() => undefined);
  await old?.close();
}

async function placeOf(context: OperationContext, request: TargetRequest): Promise<Place> {
  const { filename, image, replace } = request;
  const names = image.protocol?.names;
  const whole = image.format.driver !== undefined && isSingleFile(request);
  if (replace && !whole) throw cannotReplace(request, 'the image consists of several files');
  if (!names) {
    if (replace) throw cannotReplace(request, NOT_REGULAR);
    return { regular: false };
  }
  let there: FileStatus | undefined;
  try {
    there = await names.status(context.services, filename);
  } catch (thrown) {
    if (replace) throw cannotReplace(request, asBlockError(thrown).strerror);
    return { regular: true };
  }
  if (there === undefined) {
    if (!whole) return { regular: true };
    return { draft: await prefixed(request, () => names.draft(context.services, filename, false)), regular: true };
  }
  if (!replace) return { regular: there.kind === 'file' };
  if (there.kind !== 'file') throw cannotReplace(request, NOT_REGULAR);
  return prefixed(request, () => replacing(context, request, names));
}

async function prefixed<T>({ prefix }: TargetRequest, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (thrown) {
    throw asBlockError(thrown).prepend(prefix);
  }
}

/** The place of an image that is replaced. The old file is locked as it would be to be written over. */
async function replacing(context: OperationContext, request: TargetRequest, names: ProtocolNames): Promise<Place> {
  const access = accessFor({
    sharesFile: request.image.format.driver?.sharesFile ?? false,
    writable: true,
    describeOnly: false,
    forceShare: false,
    resize: true,
    // What is written to it meanwhile would be lost, also to a raw image.
    still: true,
  });
  const old = await openNamed(context, request.filename, access);
  try {
    return { draft: await names.draft(context.services, request.filename, true), regular: true, old };
  } catch (thrown) {
    await old.close();
    throw thrown;
  }
}

function cannotReplace({ filename, prefix }: TargetRequest, why: string): BlockError {
  return unsupported(`${prefix}Cannot replace '${filename}' as a whole: ${why}`, {
    context: { filename: filename, access: 'create' },
  });
}

function isSingleFile({ image, options }: TargetRequest): boolean {
  return !image.format.driver?.spreads?.(options) && options['data_file'] === undefined;
}

/** True if nothing is stored for any guest byte of the layer. */
export async function readsAsNothing(node: ImageNode): Promise<boolean> {
  for (let at = 0; at < node.size(); ) {
    const mapping = await node.map(at, node.size() - at);
    if (mapping.kind !== 'unallocated') return false;
    at += mapping.length;
  }
  return true;
}

/** The error with the final name in the place of the temporary one. */
function naming(error: BlockError, at: string | undefined, filename: string): BlockError {
  if (at === undefined) return error;
  const context = { ...error.context, ...(error.context.filename === at ? { filename } : {}) };
  return new BlockError(error.kind, error.message.replaceAll(at, filename), {
    context,
    cause: error,
    hint: error.hints.map((hint) => (typeof hint === 'string' ? hint.replaceAll(at, filename) : hint)),
    posix: { code: error.code, text: error.strerror },
  });
}

/** A context whose warnings show the final name. */
function namingContext(context: OperationContext, at: string, filename: string): OperationContext {
  return {
    ...context,
    onWarning: (text, hint) => context.onWarning?.(text.replaceAll(at, filename), hint),
    onNotice: (text) => context.onNotice?.(text.replaceAll(at, filename)),
    onComplaint: (text, closing) => context.onComplaint?.(text.replaceAll(at, filename), closing),
  };
}
