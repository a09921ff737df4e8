/**
 * The library for Node: every operation as a function that needs nothing but what it is about. Images may not have
 * other files opened (backing files, data files, extents) unless `implicitOpen` allows it; nothing is printed, and
 * nothing ends the program. Failures are `BlockError`s.
 */
import type { ImageNode } from './block/node/node.ts';
import type { NamedObject, ObjectStore } from './block/objects.ts';
import type { SecretStore, Services } from './block/services.ts';
import { drivers } from './drivers.ts';
import { type NodeServicesOptions, nodeServices } from './host/node/host.ts';
import { callersPipes, type InputStream, type NodeWritable, type OutputStream } from './host/node/pipes.ts';
import { MapSecretStore } from './host/shared/secrets.ts';
import { ImageLibrary, type RunSettings } from './operations/library.ts';
import type { MapExtent } from './operations/map.ts';
import type { ImageInput, MapRequest, OpenSettings } from './operations/requests.ts';
import type { RequestOf, ResultOf, Verb } from './operations/verbs.ts';

export * from './index.ts';
export {
  type InputStream,
  MapSecretStore,
  type NodeServicesOptions,
  nodeServices,
  type NodeWritable,
  type OutputStream,
};

/** How an operation runs under Node. */
export interface NodeSettings extends RunSettings {
  /** Passphrases and keys by the id under which options name them. */
  readonly secrets?: SecretStore | Readonly<Record<string, string | Uint8Array>>;
  /** TLS credentials and other objects by the id under which options name them. */
  readonly objects?: ObjectStore | Readonly<Record<string, NamedObject>>;
  /** What an image called `-` is read from: a `ReadableStream`, a `Readable` of Node, or other pieces of bytes in order. */
  readonly input?: InputStream;
  /** Where an image called `-` goes: a `WritableStream`, or a `Writable` of Node. */
  readonly output?: OutputStream;
  /** Ports in place of those of Node. */
  readonly services?: Services;
}

function isStore(secrets: NonNullable<NodeSettings['secrets']>): secrets is SecretStore {
  return typeof (secrets as SecretStore).get === 'function';
}

function secretStore(secrets: NodeSettings['secrets']): SecretStore | undefined {
  if (secrets === undefined || isStore(secrets)) return secrets;
  const store = new MapSecretStore();
  for (const [id, secret] of Object.entries(secrets)) store.set(id, secret);
  return store;
}

function objectStore(objects: NodeSettings['objects']): ObjectStore | undefined {
  if (objects === undefined || typeof (objects as ObjectStore).get === 'function') return objects as ObjectStore;
  return new Map(Object.entries(objects as Readonly<Record<string, NamedObject>>));
}

let shared: Services | undefined;

/** The services of all calls that bring none: what one has made for later, the next one finds. */
function sharedServices(): Services {
  shared ??= nodeServices();
  return shared;
}

/** All operations with the same settings, as methods. */
export function nodeLibrary(settings: NodeSettings = {}): ImageLibrary {
  const secrets = secretStore(settings.secrets);
  const objects = objectStore(settings.objects);
  const { input, output } = settings;
  const own = {
    ...sharedServices(),
    ...(secrets ? { secrets } : {}),
    ...(objects ? { objects } : {}),
    ...(input || output ? { pipes: callersPipes(input, output) } : {}),
  };
  return new ImageLibrary(drivers, settings.services ?? own, settings);
}

/** Opens an image to read (and with `writable` to write) its guest bytes. Close it. */
export function openImage(
  image: ImageInput,
  how?: OpenSettings & { readonly writable?: boolean },
  settings?: NodeSettings,
): Promise<ImageNode> {
  return nodeLibrary(settings).openImage(image, how);
}

/** The runs of {@link map} one after the other, for images with very many. */
export function mapExtents(request: MapRequest, settings?: NodeSettings): AsyncGenerator<MapExtent, void, undefined> {
  return nodeLibrary(settings).mapExtents(request);
}

/** An operation with settings of its own. */
export type NodeOperation<V extends Verb> = (request: RequestOf<V>, settings?: NodeSettings) => Promise<ResultOf<V>>;

function operation<V extends Verb>(verb: V): NodeOperation<V> {
  return (request, settings) => nodeLibrary(settings).run(verb, request);
}

/** Changes options of an existing image. */
export const amend: NodeOperation<'amend'> = operation('amend');

/** Times a run of requests. */
export const bench: NodeOperation<'bench'> = operation('bench');

/** Changes persistent dirty bitmaps. */
export const bitmap: NodeOperation<'bitmap'> = operation('bitmap');

/** Looks for structural damage and, with `repair`, repairs it. */
export const check: NodeOperation<'check'> = operation('check');

/** Moves an overlay's content down into an image of its chain. */
export const commit: NodeOperation<'commit'> = operation('commit');

/** Whether two images have the same guest content. */
export const compare: NodeOperation<'compare'> = operation('compare');

/** Copies images into another one; a new target appears only when it is complete. */
export const convert: NodeOperation<'convert'> = operation('convert');

/** Writes an empty image; what was there before is lost. */
export const createImage: NodeOperation<'create'> = operation('create');

/** Copies blocks. */
export const dd: NodeOperation<'dd'> = operation('dd');

/** Describes an image. */
export const info: NodeOperation<'info'> = operation('info');

/** Whether an image of somebody else can be used without danger. */
export const inspect: NodeOperation<'inspect'> = operation('inspect');

/** Lists what is allocated where. */
export const map: NodeOperation<'map'> = operation('map');

/** How large a new image will be. */
export const measure: NodeOperation<'measure'> = operation('measure');

/** Gives an image another backing image, or none. */
export const rebase: NodeOperation<'rebase'> = operation('rebase');

/** Changes the guest size. */
export const resize: NodeOperation<'resize'> = operation('resize');

/** Gives images to others. Resolves when clients can come; what comes of it tells when it has ended. */
export const serve: NodeOperation<'serve'> = operation('serve');

/** Lists, makes, applies or deletes internal snapshots. */
export const snapshot: NodeOperation<'snapshot'> = operation('snapshot');
