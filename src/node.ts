/**
 * The library for Node: every operation as a function that needs nothing but what it is about. Images may not have
 * other files opened (backing files, data files, extents) unless `implicitOpen` allows it; nothing is printed, and
 * nothing ends the program. Failures are `BlockError`s.
 */
import type { ImageNode } from './block/node.ts';
import type { SecretStore, Services } from './block/services.ts';
import { drivers } from './drivers.ts';
import { type NodeServicesOptions, nodeServices } from './host/node/host.ts';
import { MapSecretStore } from './host/shared/secrets.ts';
import type { AmendResult } from './operations/amend.ts';
import type { BitmapResult } from './operations/bitmap.ts';
import type { CheckResult } from './operations/check.ts';
import type { CommitResult } from './operations/commit.ts';
import type { CompareResult } from './operations/compare.ts';
import type { ConvertResult } from './operations/convert.ts';
import type { CreateResult } from './operations/create.ts';
import type { DdResult } from './operations/dd.ts';
import type { InfoResult } from './operations/info.ts';
import type {
  AmendInput,
  BitmapInput,
  CheckInput,
  CommitInput,
  CompareInput,
  ConvertInput,
  CreateInput,
  DdInput,
  ImageInput,
  InfoInput,
  MapInput,
  MeasureInput,
  OpenSettings,
  RebaseInput,
  ResizeInput,
  RunSettings,
  SnapshotInput,
} from './operations/inputs.ts';
import { ImageLibrary } from './operations/library.ts';
import type { MapExtent, MapResult } from './operations/map.ts';
import type { MeasureResult } from './operations/measure.ts';
import type { RebaseResult } from './operations/rebase.ts';
import type { ResizeResult } from './operations/resize.ts';
import type { SnapshotResult } from './operations/snapshot.ts';

export * from './index.ts';
export { MapSecretStore, type NodeServicesOptions, nodeServices };

/** How an operation runs under Node. */
export interface NodeSettings extends RunSettings {
  /** Passphrases and keys by the id under which options name them. */
  readonly secrets?: SecretStore | Readonly<Record<string, string | Uint8Array>>;
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

let shared: Services | undefined;

/** The services of all calls that bring none: what one has made for later, the next one finds. */
function sharedServices(): Services {
  shared ??= nodeServices();
  return shared;
}

/** All operations with the same settings, as methods. */
export function nodeLibrary(settings: NodeSettings = {}): ImageLibrary {
  const secrets = secretStore(settings.secrets);
  const own = secrets ? { ...sharedServices(), secrets } : sharedServices();
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

/** Writes an empty image; what was there before is lost. */
export function createImage(input: CreateInput, settings?: NodeSettings): Promise<CreateResult> {
  return nodeLibrary(settings).createImage(input);
}

/** Describes an image. */
export function info(input: InfoInput, settings?: NodeSettings): Promise<InfoResult> {
  return nodeLibrary(settings).info(input);
}

/** Looks for structural damage and, with `repair`, repairs it. */
export function check(input: CheckInput, settings?: NodeSettings): Promise<CheckResult> {
  return nodeLibrary(settings).check(input);
}

/** Lists what is allocated where. */
export function map(input: MapInput, settings?: NodeSettings): Promise<MapResult> {
  return nodeLibrary(settings).map(input);
}

/** The runs of {@link map} one after the other, for images with very many. */
export function mapExtents(input: MapInput, settings?: NodeSettings): AsyncGenerator<MapExtent, void, undefined> {
  return nodeLibrary(settings).mapExtents(input);
}

/** How large a new image will be. */
export function measure(input: MeasureInput, settings?: NodeSettings): Promise<MeasureResult> {
  return nodeLibrary(settings).measure(input);
}

/** Changes the guest size. */
export function resize(input: ResizeInput, settings?: NodeSettings): Promise<ResizeResult> {
  return nodeLibrary(settings).resize(input);
}

/** Copies images into another one; a new target appears only when it is complete. */
export function convert(input: ConvertInput, settings?: NodeSettings): Promise<ConvertResult> {
  return nodeLibrary(settings).convert(input);
}

/** Whether two images have the same guest content. */
export function compare(input: CompareInput, settings?: NodeSettings): Promise<CompareResult> {
  return nodeLibrary(settings).compare(input);
}

/** Copies blocks. */
export function dd(input: DdInput, settings?: NodeSettings): Promise<DdResult> {
  return nodeLibrary(settings).dd(input);
}

/** Moves an overlay's content down into an image of its chain. */
export function commit(input: CommitInput, settings?: NodeSettings): Promise<CommitResult> {
  return nodeLibrary(settings).commit(input);
}

/** Gives an image another backing image, or none. */
export function rebase(input: RebaseInput, settings?: NodeSettings): Promise<RebaseResult> {
  return nodeLibrary(settings).rebase(input);
}

/** Lists, makes, applies or deletes internal snapshots. */
export function snapshot(input: SnapshotInput, settings?: NodeSettings): Promise<SnapshotResult> {
  return nodeLibrary(settings).snapshot(input);
}

/** Changes persistent dirty bitmaps. */
export function bitmap(input: BitmapInput, settings?: NodeSettings): Promise<BitmapResult> {
  return nodeLibrary(settings).bitmap(input);
}

/** Changes options of an existing image. */
export function amend(input: AmendInput, settings?: NodeSettings): Promise<AmendResult> {
  return nodeLibrary(settings).amend(input);
}
