/**
 * The library without a platform: operations on disk images over ports that the caller brings. Under Node,
 * `qimg/node` has the ports already; `qimg/testing` has a disk in memory.
 */
export { BlockError, type ErrorContext, type ErrorKind } from './base/error.ts';
export { humanSize, parseSize } from './base/size.ts';
export { bytesOf as bytesOfName, textOf as nameOfBytes } from './base/text.ts';
export { type BlockStatus, blockStatus, walkChain } from './block/chain.ts';
export type {
  Allocation,
  Amender,
  BackingReference,
  BitmapInfo,
  BitmapStore,
  Checker,
  CheckResult as Findings,
  Compressor,
  CreateContext,
  FormatDriver,
  FormatInfo,
  ImageDriver,
  InfoValue,
  Mapping,
  MeasureContext,
  Measurement,
  OpenContext,
  ProtocolContext,
  ProtocolDriver,
  ProtocolStorage,
  RepairMode,
  SnapshotInfo,
  SnapshotStore,
} from './block/driver.ts';
export {
  closedGate,
  type Gate,
  type ImplicitReference,
  permissiveGate,
  sameDirectoryGate,
} from './block/gate.ts';
export { ImageNode } from './block/node.ts';
export { DriverRegistry, type FormatEntry, type ProtocolEntry } from './block/registry.ts';
export type { BufferPool, SecretStore, Services } from './block/services.ts';
export { drivers } from './drivers.ts';
export { type BenchObserver, type BenchPlan, type BenchResult, bench } from './operations/bench.ts';
export { type CheckObserver, type CheckResult, check, type Repairs } from './operations/check.ts';
export { type CommitResult, commit } from './operations/commit.ts';
export { type CompareObserver, type CompareResult, compare } from './operations/compare.ts';
export type { OperationContext } from './operations/context.ts';
export { type ConvertResult, convert } from './operations/convert.ts';
export { type CreatePlan, type CreateResult, create, createOptionTables } from './operations/create.ts';
export { type DdResult, dd } from './operations/dd.ts';
export { type ImageInfo, type InfoResult, info, type SnapshotEntry } from './operations/info.ts';
export type * from './operations/inputs.ts';
export { ImageLibrary } from './operations/library.ts';
export { type MapExtent, type MapResult, map, mapExtents } from './operations/map.ts';
export { type MeasureResult, measure } from './operations/measure.ts';
export type * from './operations/requests.ts';
export { type RebaseResult, rebase } from './operations/rebase.ts';
export { type ResizeResult, resize } from './operations/resize.ts';
export type { AnyOptionValues, OptionSpec, OptionTable } from './options/table.ts';
export type { OptionTree } from './options/tree.ts';
export type { CacheMode, FileHandle, FilePort } from './storage/files.ts';
export type { Extent, Limits, Preallocation, Storage, StorageDriver } from './storage/storage.ts';
