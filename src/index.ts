/**
 * The library without a platform: operations on disk images over ports that the caller brings. Under Node,
 * `qimg/node` has the ports already; `qimg/testing` has a disk in memory.
 */
export type { MaybePromise } from './base/async.ts';
export type { ByteSink, ByteStream } from './base/byteStream.ts';
export { BlockError, type ErrorContext, type ErrorDetails, type ErrorKind } from './base/error.ts';
export { type Advice, type Hint, hintText } from './base/hint.ts';
export type { BufferPool } from './base/inflight.ts';
export { humanSize, type ParsedNumber, parseSize } from './base/size.ts';
export { bytesOf as bytesOfName, textOf as nameOfBytes } from './base/text.ts';
export { type BlockStatus, blockStatus, type ChainCursor, walkChain } from './block/node/chain.ts';
export type { GraphContext } from './block/graph/context.ts';
export { Deadline } from './block/graph/deadline.ts';
export { type NamedNode, NamedNodes } from './block/graph/namedNodes.ts';
export type {
  Amender,
  Backing,
  BackingReference,
  BeyondEnd,
  BitmapInfo,
  BitmapStore,
  CheckFindings,
  Checker,
  Coder,
  Compressor,
  FilterPart,
  FormatInfo,
  ImageDriver,
  InfoValue,
  Quirks,
  RepairMode,
  SnapshotInfo,
  SnapshotStore,
  Writing,
} from './block/capabilities.ts';
export type {
  ChildOptions,
  CreateContext,
  FormatDriver,
  MeasureContext,
  Measurement,
  OpenContext,
  OpenIntent,
} from './block/format.ts';
export type {
  NamedObject,
  ObjectStore,
  OtherObject,
  ThrottleGroup,
  ThrottleLimits,
  TlsCredentials,
} from './block/objects.ts';
export type { ProtocolContext, ProtocolDriver, ProtocolNames, ProtocolStorage } from './block/protocol.ts';
export {
  closedGate,
  type Gate,
  type ImplicitReference,
  permissiveGate,
  sameDirectoryGate,
} from './block/graph/gate.ts';
export type { Allocation, Mapping } from './block/mapping.ts';
export type { NodeSnapshots } from './block/node/stores.ts';
export type { ImageLayer } from './block/node/layer.ts';
export { ImageNode, type NodeParts, type Reopen } from './block/node/node.ts';
export type { FilterChild, FilterContext, FilterDriver, FilterRole, FilterStorage } from './block/filter.ts';
export { DriverRegistry, type FilterEntry, type FormatEntry, type ProtocolEntry } from './block/graph/registry.ts';
export type { ByteStreams, Connection, Listener, NetPort, SocketAddress, TlsSettings } from './block/net.ts';
export type { FtpPort, FtpServer, FtpSession, FtpTransfer } from './block/ftp.ts';
export type { HttpAnswer, HttpPort, HttpRequest, Login } from './block/http.ts';
export { DEFAULT_LIMITS, type ResourceLimits, UNTRUSTED_LIMITS } from './block/limits.ts';
export type { ProgramEnd, ProgramPort, RunningProgram } from './block/programs.ts';
export { type FormatInspector, INSPECT_RULES, type Inspection } from './block/inspection.ts';
export type { Report, ReportLine } from './block/report.ts';
export type { SecretStore, Services } from './block/services.ts';
export type { PipePort } from './block/pipes.ts';
export type { SpoolPort } from './block/spool.ts';
export type { SpoolStorage } from './storage/forward.ts';
export type { CodecPort, Compression, Decompression, DecompressPiece, FileCompression } from './codec/codec.ts';
export type { Client, Export, ImageServer, RunningServer, ServerSettings } from './block/serving.ts';
export type { BlockCipher, CryptoPort, SectorWork } from './crypto/crypto.ts';
export type { CipherMode, CipherName, CipherSpec, HashName, IvGenName } from './crypto/spec.ts';
export { drivers } from './drivers.ts';
export { type AmendObserver, type AmendResult, amend } from './operations/amend.ts';
export { type BenchObserver, type BenchPlan, type BenchResult, bench } from './operations/bench.ts';
export { type BitmapResult, bitmap } from './operations/bitmap.ts';
export { type CheckObserver, type CheckResult, check } from './operations/check.ts';
export { type CommitObserver, type CommitResult, commit } from './operations/commit.ts';
export { type CompareObserver, type CompareResult, compare } from './operations/compare.ts';
export type { OperationContext } from './operations/context.ts';
export { type ConvertObserver, type ConvertResult, convert } from './operations/convert.ts';
export type { CopyOutcome } from './operations/copy/copy.ts';
export {
  type CreateOptionTables,
  type CreatePlan,
  type CreateResult,
  create,
  createOptionTables,
} from './operations/create.ts';
export { type DdResult, dd } from './operations/dd.ts';
export { type ImageInfo, type InfoResult, info, type SnapshotEntry } from './operations/info.ts';
export {
  type InspectCheck,
  type InspectName,
  type InspectResult,
  type InspectRule,
  inspect,
} from './operations/inspect.ts';
export { ImageLibrary, type ImplicitOpen, type LibraryMethods, type RunSettings } from './operations/library.ts';
export { type MapExtent, type MapResult, map, mapExtents } from './operations/map.ts';
export { type MeasureResult, measure } from './operations/measure.ts';
export type * from './operations/requests.ts';
export { type RebaseObserver, type RebaseResult, rebase } from './operations/rebase.ts';
export { type ResizeResult, resize } from './operations/resize.ts';
export { type ServedImages, serve } from './operations/serve.ts';
export { type SnapshotResult, snapshot } from './operations/snapshot.ts';
export type { ModuleOf, Operations, RequestOf, ResultOf, Verb } from './operations/verbs.ts';
export type { OptionPair } from './options/keyval.ts';
export type {
  AnyOptionValues,
  Defaulted,
  KindTypes,
  OptionKind,
  OptionSpec,
  OptionTable,
  OptionValues,
} from './options/table.ts';
export type { OptionLeaf, OptionTree } from './options/tree.ts';
export type {
  CacheMode,
  FileAccess,
  FileCreateOptions,
  FileDraft,
  FileHandle,
  FileOpenOptions,
  FilePort,
  FileStatus,
} from './storage/files.ts';
export type {
  DebugEvent,
  Extent,
  KernelCopy,
  Limits,
  Preallocation,
  Storage,
  StorageDriver,
  ZeroFlags,
} from './storage/storage.ts';
