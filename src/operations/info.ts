/** `info`: describes an image and, on request, the images below it. */
import { invalidArgument, invalidImage } from '../base/error.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { alignUp, SECTOR } from '../base/offset.ts';
import type { FormatInfo, SnapshotInfo } from '../block/capabilities.ts';
import type { ProtocolStorage } from '../block/protocol.ts';
import { ImageNode } from '../block/node/node.ts';
import { identityOf, placeless, placeName } from '../block/graph/bottom.ts';
import { nameFrom } from '../block/graph/names.ts';
import { openImage } from '../block/graph/open.ts';
import { isRelative, PLAIN_PROTOCOL } from '../options/filename.ts';
import type { CacheMode } from '../storage/files.ts';
import type { Limits, Storage } from '../storage/storage.ts';
import type { OperationContext } from './context.ts';
import type { ImageInput, InfoRequest } from './requests.ts';
import { imageFormat, imageName, imageOptions } from './shorthand.ts';
import { openSource } from './source.ts';

/** An internal snapshot with what is needed to show its date. */
export interface SnapshotEntry extends SnapshotInfo {
  /** Local time minus UTC in seconds when the snapshot was taken. */
  readonly zoneOffset: number;
}

/** What is known about one node of an image's graph. */
export interface ImageInfo {
  readonly filename: string;
  /** Driver name. */
  readonly format: string;
  /** The node is no image but what its bytes lie in. */
  readonly protocol: boolean;
  /** Guest-visible size, or length of the file, in bytes. */
  readonly virtualSize: number;
  /** Bytes on the medium, if known. */
  readonly actualSize?: number;
  readonly clusterSize?: number;
  readonly encrypted?: boolean;
  readonly compressed?: boolean;
  /** Writing was not finished properly; absent where the format cannot tell. */
  readonly dirty?: boolean;
  /** Backing name as stored. */
  readonly backingFile?: string;
  /** The same seen from the current directory; absent if that cannot be said. */
  readonly fullBackingFile?: string;
  readonly backingFormat?: string;
  readonly snapshots: readonly SnapshotEntry[];
  /** Only on request. */
  readonly limits?: Limits;
  readonly specific?: NonNullable<FormatInfo['specific']>;
  /** The storages below, last opened first. */
  readonly children: readonly { readonly name: string; readonly info: ImageInfo }[];
}

/** Result of {@link info}. */
export interface InfoResult {
  /** The image, and with `backingChain` all images below it in order. */
  readonly images: readonly ImageInfo[];
}

/** How to collect; the same for all images of a chain. */
interface Collection {
  readonly context: OperationContext;
  readonly limits: boolean;
  readonly forceShare: boolean;
  readonly cache: CacheMode | undefined;
}

/**
 * Describes an image. Backing images are opened only with `backingChain`, and then one after the other; other files
 * that an image names are not opened at all.
 * @throws BlockError if an image cannot be opened, or if the chain comes back to an image that was there before.
 */
export async function info(context: OperationContext, request: InfoRequest): Promise<InfoResult> {
  const how: Collection = {
    context,
    limits: request.limits ?? false,
    forceShare: request.forceShare ?? false,
    cache: request.cache,
  };
  const images: ImageInfo[] = [];
  const seen = new Set<string>();
  let next: { source: ImageInput; parent?: ImageInfo } | undefined = { source: request.image };
  while (next !== undefined) {
    throwIfStopped(context.signal);
    const image: ImageInfo = await describeImage(how, next.source, next.parent, seen);
    images.push(image);
    next = request.backingChain ? below(image) : undefined;
  }
  return { images };
}

/** The backing image to look at after `image`. */
function below(image: ImageInfo): { source: ImageInput; parent: ImageInfo } | undefined {
  if (image.backingFile === undefined || image.backingFile === '') return undefined;
  if (image.fullBackingFile === undefined) {
    throw invalidArgument(
      `Could not determine absolute backing filename, but backing filename '${image.backingFile}' present`,
    );
  }
  return { source: { filename: image.fullBackingFile, format: image.backingFormat }, parent: image };
}

/** @param seen identities of the images before; a second visit is a loop. */
async function describeImage(
  how: Collection,
  source: ImageInput,
  parent: ImageInfo | undefined,
  seen: Set<string>,
): Promise<ImageInfo> {
  const filename = imageName(source);
  const format = imageFormat(source);
  const settings = {
    intent: 'info',
    noBacking: true,
    forceShare: how.forceShare,
    ...(how.cache === undefined ? {} : { cache: how.cache }),
  } as const;
  const node = parent
    ? await openImage(how.context, {
        ...settings,
        filename,
        ...(format === undefined ? {} : { format }),
        implicit: { role: 'backing', parent: parent.filename, reference: parent.backingFile ?? '' },
      })
    : await openSource(how.context, source, settings);
  try {
    const identity = identityOf(node.file) ?? filename;
    if (seen.has(identity)) {
      throw invalidImage(`Backing file '${filename}' creates an infinite loop.`);
    }
    seen.add(identity);
    const probed = node.probed && format === undefined && imageOptions(source) === undefined;
    return await describe(how, node, probed);
  } finally {
    await node.close();
  }
}

/** @param probed the format was found out from the content: raw images are then written in whole sectors only. */
async function describe(how: Collection, node: ImageNode, probed: boolean): Promise<ImageInfo> {
  const protocol = how.context.drivers.isProtocol(node.format);
  const own = await node.info();
  const children = await describeChildren(how, node);
  const role = node.filter?.role ?? 'file';
  const looksDown = node.transparent && !node.filter?.opaque;
  const inherited = looksDown ? children.find((child) => child.name === role)?.info : undefined;
  const { backingReference: backing } = node;
  const nowhere = backing && isRelative(backing.file) && placeless(node.file) !== undefined;
  const full =
    backing && !nowhere
      ? await nameFrom(how.context, node.file ? placeName(node.file) : node.name, backing.file)
      : undefined;
  return dropUndefined({
    filename: node.name,
    format: node.format,
    protocol,
    virtualSize: node.size(),
    actualSize: await node.allocatedSize(),
    clusterSize: own.clusterSize ?? inherited?.clusterSize,
    encrypted: own.encrypted,
    compressed: own.compressed,
    dirty: own.dirty ?? inherited?.dirty,
    backingFile: backing?.file,
    fullBackingFile: full,
    backingFormat: backing?.format,
    snapshots: await listSnapshots(how.context, node),
    limits: how.limits ? limitsOf(node, probed) : undefined,
    specific: own.specific,
    children,
  });
}

async function listSnapshots(context: OperationContext, node: ImageNode): Promise<SnapshotEntry[]> {
  const list = (await node.snapshots?.list()) ?? [];
  return list.map((entry) => ({ ...entry, zoneOffset: context.services.zoneOffset(entry.dateSeconds) }));
}

/** The storages below a node, in the order in which the real tool lists them: the latest first. */
async function describeChildren(how: Collection, node: ImageNode): Promise<ImageInfo['children'][number][]> {
  const children: ImageInfo['children'][number][] = [];
  for (const { role, node: storage } of storagesBelow(node).toReversed()) {
    const description = storage instanceof ImageNode ? describe(how, storage, false) : describeFile(how, storage);
    children.push({ name: role, info: await description });
  }
  return children;
}

function storagesBelow(node: ImageNode): NonNullable<ImageNode['filter']>['children'] {
  if (node.filter) return node.filter.children;
  const file = node.file ? [{ role: 'file', node: node.file }] : [];
  // Backing images of the image itself are described apart from it, if at all.
  const backing = node.backing ? [{ role: 'backing', node: node.backing }] : [];
  return [...file, ...node.children, ...backing];
}

async function describeFile(how: Collection, storage: ProtocolStorage): Promise<ImageInfo> {
  const format = storage.protocol ?? PLAIN_PROTOCOL;
  const { dirty, specific } = storage.described ?? {};
  return dropUndefined({
    filename: storage.name,
    format,
    protocol: true,
    virtualSize: alignUp(storage.size(), SECTOR),
    actualSize: await storage.allocatedSize(),
    dirty,
    snapshots: [],
    limits: how.limits ? limitsOf(storage, false) : undefined,
    specific,
    children: [],
  });
}

/** Limits of a node: its own, and those of memory and transfers of what is below it. */
function limitsOf(storage: Storage, probed: boolean): Limits {
  const own = storage.limits;
  const under = storage instanceof ImageNode && storage.file ? limitsOf(storage.file, false) : undefined;
  const limits: Limits = {
    minMemoryAlignment: under?.minMemoryAlignment ?? 512,
    optimalMemoryAlignment: under?.optimalMemoryAlignment ?? 4096,
    maxIov: under?.maxIov ?? 1024,
    ...(under?.maxTransfer === undefined ? {} : { maxTransfer: under.maxTransfer }),
    ...(under?.optimalTransfer === undefined ? {} : { optimalTransfer: under.optimalTransfer }),
    ...own,
  };
  if (!(storage instanceof ImageNode)) return limits;
  if (storage.quirks.inSectors) {
    return { ...limits, requestAlignment: Math.max(SECTOR, limits.requestAlignment) };
  }
  if (!storage.plain) return limits;
  // What is below a raw layer says in which steps it discards, but neither how much, nor how it zeroes.
  const { writeZeroesAlignment: _, maxWriteZeroes: __, maxDiscard: ___, ...kept } = limits;
  return { ...kept, requestAlignment: probed ? SECTOR : storage.file ? 1 : limits.requestAlignment };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The object without members that are undefined. */
function dropUndefined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}
