/**
 * The thin side of the block layer: what a format driver implements. A driver says where guest bytes are; the node
 * (`node.ts`) moves them, and owns bounds, alignment, read-modify-write, copy-on-write, zero and discard emulation.
 */
import type { MaybePromise } from '../base/async.ts';
import type { Hint } from '../base/hint.ts';
import type { AnyOptionValues, OptionTable, OptionValues } from '../options/table.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode, FileAccess } from '../storage/files.ts';
import type { Limits, Preallocation, Storage, ZeroFlags } from '../storage/storage.ts';
import type { ChildOptions } from './child.ts';
import type { ReportLine } from './report.ts';
import type { Mapping } from './mapping.ts';
import type { Services } from './services.ts';

/** Room for guest bytes, made by {@link ImageDriver.allocate}. */
export interface Allocation {
  /** First guest byte of the room; at most the offset asked for. */
  readonly start: number;
  /** Bytes of room; reaches beyond the offset asked for, perhaps beyond what was asked for. */
  readonly length: number;
  readonly storage: Storage;
  /** Where guest byte `start` goes. */
  readonly offset: number;
  /**
   * The room is new: the caller fills all of it, with the old guest content around what it writes. In rooms that are
   * not new the caller writes only its own bytes.
   */
  readonly fresh: boolean;
  /** A fresh room that already reads as zeroes, so zeroes need not be written. */
  readonly zeroed?: boolean;
  /** Changes guest bytes into stored bytes (encryption). Whole multiples of the node's request alignment. */
  encode?(guestOffset: number, bytes: Uint8Array): MaybePromise<Uint8Array>;
  /** Called when the bytes are written: makes the room part of the image. */
  commit?(): MaybePromise<void>;
  /** Called instead of `commit` when writing failed: gives the room back. */
  abort?(): MaybePromise<void>;
}

/** Coding of compressed units, apart from storing them, so that it can run on all cores. */
export interface Coder {
  /** Guest bytes in one compressed unit; units start at multiples of it. */
  readonly unit: number;
  /**
   * Codes consecutive units (the last may be short only at the end of the image). An element is undefined where
   * coding does not pay; such units are written as plain data.
   */
  encode(guestOffset: number, bytes: Uint8Array): Promise<(Uint8Array | undefined)[]>;
  /** Formats whose units all have to come through the compressor, in order, zeroes included (streamOptimized). */
  readonly sequential?: boolean;
}

/** Compressed writing. */
export interface Compressor extends Coder {
  /** Stores one coded unit. Calls come one at a time. */
  store(guestOffset: number, coded: Uint8Array): MaybePromise<void>;
}

/** A backing image as an image names it. */
export interface BackingReference {
  /** Name as stored: relative names count from the directory of the image. */
  readonly file: string;
  /** Format as stored; undefined means that it has to be probed. */
  readonly format?: string;
}

/** A value of format-specific information, printed by `info`. */
export type InfoValue = string | number | boolean | null | readonly InfoValue[] | { readonly [key: string]: InfoValue };

/** What `info` shows about an image beyond what every image has. */
export interface FormatInfo {
  readonly clusterSize?: number;
  /** Writing was not finished properly. Absent where the real tool shows no `dirty-flag`, not even `false`. */
  readonly dirty?: boolean;
  readonly encrypted?: boolean;
  readonly compressed?: boolean;
  /**
   * Format-specific data with QEMU's key names, in QEMU's order (`{ compat: '1.1', 'lazy-refcounts': false }`), or
   * undefined when the real tool has none for this format.
   */
  readonly specific?: { readonly type: string; readonly data: { readonly [key: string]: InfoValue } };
}

/** One internal snapshot as `snapshot -l` shows it. */
export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  /** Bytes of saved machine state. */
  readonly vmStateSize: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  /** How long the machine had run: whole seconds, and nanoseconds of the next. */
  readonly vmClockSeconds: number;
  readonly vmClockNanoseconds: number;
  /** Executed instructions as decimal text, for a number may not hold them; absent if they were not recorded. */
  readonly instructionCount?: string;
  /** Guest-visible size when the snapshot was taken, in bytes. */
  readonly virtualSize: number;
}

/** Internal snapshots of an image. */
export interface SnapshotStore {
  list(): MaybePromise<readonly SnapshotInfo[]>;
  create(name: string): Promise<SnapshotInfo>;
  apply(idOrName: string): Promise<void>;
  /** Removes the first snapshot that fits; throws kind `not-found` if there is none. */
  remove(select: { readonly id?: string; readonly name?: string }): Promise<void>;
  /** The snapshot's content as an image to read from; closing it does not close the image. */
  view(select: { readonly id?: string; readonly name?: string }): Promise<ImageDriver>;
}

/** One persistent dirty bitmap. */
export interface BitmapInfo {
  readonly name: string;
  /** Bytes that one bit stands for. */
  readonly granularity: number;
  /** The bitmap was in use when its image was last written: its content cannot be trusted. */
  readonly inUse: boolean;
  /** The bitmap records writes. */
  readonly enabled: boolean;
}

/** Persistent dirty bitmaps of an image. */
export interface BitmapStore {
  list(): MaybePromise<readonly BitmapInfo[]>;
  add(name: string, granularity: number | undefined, enabled: boolean): Promise<void>;
  remove(name: string): Promise<void>;
  clear(name: string): Promise<void>;
  setEnabled(name: string, enabled: boolean): Promise<void>;
  /** The dirty runs, sorted, not touching each other. */
  ranges(name: string): AsyncIterable<{ readonly offset: number; readonly length: number }>;
  /** Marks runs dirty. */
  mark(
    name: string,
    ranges:
      | Iterable<{ readonly offset: number; readonly length: number }>
      | AsyncIterable<{ readonly offset: number; readonly length: number }>,
  ): Promise<void>;
  /** Stores what changed, as closing does. The cause of its error says what kept it from that. */
  save(): Promise<void>;
}

/** What a check is to repair. */
export type RepairMode = 'none' | 'leaks' | 'all';

/** What a check found; counts have the meaning of `qemu-img check --output=json`. */
export interface CheckFindings {
  /** Damage found (and not repaired). */
  corruptions: number;
  leaks: number;
  /** Errors that kept the check from looking everywhere. */
  checkErrors: number;
  corruptionsFixed: number;
  leaksFixed: number;
  /** End of the last used cluster in bytes, if the format knows. */
  imageEndOffset?: number;
  /** Statistics over guest clusters, if the format has them. */
  clusters?: { total: number; allocated: number; fragmented: number; compressed: number };
}

/** Structure checks and repair. */
export interface Checker {
  /** The real tool has no checks for the format: this one runs only where a deep check is asked for. */
  readonly deepOnly: boolean;
  /** Damage can be repaired; without it `repair` is always `none`. */
  readonly repairs: boolean;
  /**
   * Looks at the structure.
   * @param deep also at what the real tool does not look at.
   */
  check(repair: RepairMode, report: ReportLine, deep: boolean): Promise<CheckFindings>;
}

/** Changing options of an existing image; `A` is the driver's table of such options. */
export interface Amender<A extends OptionTable = OptionTable> {
  amend(
    options: OptionValues<A>,
    how: {
      /** Allow what may lose data. */
      readonly force: boolean;
      readonly onProgress?: (done: number, total: number) => void;
      /** Changes the guest size as `resize` does. */
      readonly resize: (size: number) => Promise<void>;
    },
  ): Promise<void>;
}

/** One opened image, its own layer only. Callers never run two changing calls at the same time. */
export interface ImageDriver {
  /** Guest-visible size in bytes now. */
  readonly virtualSize: number;
  /** Of the guest view: `requestAlignment` 512 makes the node round all reads and writes to sectors. */
  readonly limits?: Partial<Limits>;
  /** Where the run at `offset` is. `offset + length` never exceeds the virtual size. May run beside other calls. */
  map(offset: number, length: number): MaybePromise<Mapping>;
  /** Decodes a range that `map` called special. May run beside other calls. */
  readSpecial?(offset: number, into: Uint8Array): MaybePromise<void>;
  /**
   * Guest bytes that can be allocated or zeroed as one; powers of two. Two writes inside one unit are never
   * under way at the same time. Absent: 1.
   */
  readonly allocationUnit?: number | undefined;
  /** What the real tool sees as one run ends at multiples of this, if not before. */
  readonly strideUnit?: number | undefined;
  /** Finds or makes room for the guest range; absent: the image is read-only. */
  allocate?(offset: number, length: number): MaybePromise<Allocation>;
  /**
   * Makes whole allocation units (or up to the end of the image) read as zeroes; absent: zeroes are written as data.
   * Where `limits.writeZeroesAlignment` is smaller than a unit, the range may begin and end at its multiples, except in
   * units that are stored compressed.
   */
  writeZeroes?(offset: number, length: number, flags: ZeroFlags): MaybePromise<void>;
  /** A unit without room that reads as zeroes is recorded as such as soon as a part of it is zeroed. */
  readonly completesZeroes?: boolean;
  /** Gives up whole allocation units (or up to the end of the image). */
  discard?(offset: number, length: number): MaybePromise<void>;
  readonly compressor?: Compressor | undefined;
  /** @param covered the backing image reaches into the new area, which is made to read as zeroes afterwards. */
  resize?(size: number, preallocation: Preallocation, covered?: boolean): Promise<void>;
  /** Makes changes that bitmaps are not to record. */
  unrecorded?(changes: () => Promise<void>): Promise<void>;
  /** True if a new area can hide a backing image that reaches into it; without it such a growth is refused. */
  readonly growsOverBacking?: boolean;
  /** Writes cached metadata in safe order and flushes the storages below. */
  flush(): MaybePromise<void>;
  /** Flushes and releases what the driver itself opened (not the `file` it was given). */
  close(): MaybePromise<void>;
  info(): MaybePromise<FormatInfo>;
  /** The backing image that this image names. */
  readonly backing?: BackingReference | undefined;
  /**
   * Called before bytes of the backing image are taken for those of this image: throws if it is not the one that this
   * image was made for.
   */
  admitBacking?(backing: ImageDriver): void;
  /** Records another backing image; undefined removes it. Content does not change. */
  setBacking?(backing: BackingReference | undefined): Promise<void>;
  /** Drops every allocation, so that all content comes from the backing image (the end of `commit`). */
  makeEmpty?(): Promise<void>;
  /** Where guest data is read, stored data beyond the end of a file is an error (`lost`), or zeroes and a warning (`told`). */
  readonly beyondEnd?: 'lost' | 'told' | undefined;
  /** False if a place behind the end of the file was never data of this image: its entry is wild. Absent: all were. */
  vouches?(storage: Storage, offset: number): MaybePromise<boolean>;
  /** Storages besides `file` that hold the image's bytes, by child name (`data-file`, `extents.0`). */
  readonly children?: readonly { readonly role: string; readonly node: Storage }[];
  /** The real tool does not tell where this format's data is: `map` and `measure` show all of it as data. */
  readonly opaque?: boolean | undefined;
  readonly snapshots?: SnapshotStore | undefined;
  readonly bitmaps?: BitmapStore | undefined;
  /** The format can hold bitmaps, but they are not read: copies of the image have none. */
  readonly bitmapsUnread?: boolean;
  readonly checker?: Checker | undefined;
  readonly amender?: Amender | undefined;
  /** Bytes on the medium if the driver knows better than the sum of its storages. */
  allocatedSize?(): MaybePromise<number | undefined>;
}

/** Why an image is opened. */
export type OpenIntent =
  /** Only to describe it: referenced files may be missing, encrypted images need no key. */
  | 'info'
  /** Its data is read or written. */
  | 'io'
  /** Its structure is looked at or repaired: damage is not a reason to fail. */
  | 'check';

/** What a driver gets to open an image; `O` is its table of runtime options. */
export interface OpenContext<O extends OptionTable = OptionTable> {
  /** The storage below. */
  readonly file: Storage;
  /** Name of the image as the user knows it. */
  readonly filename: string;
  readonly readOnly: boolean;
  readonly intent: OpenIntent;
  /** Nobody is going to ask for the guest's bytes: an encrypted image can do without its key. */
  readonly keyless: boolean;
  /** Values of the driver's `openOptions`. */
  readonly options: OptionValues<O>;
  readonly services: Services;
  /**
   * Opens a storage that the image names by itself (or an option of the same role overrides), through the gate.
   * @param role child name, for instance `data-file`.
   * @param reference plain file name, relative to the image's directory; undefined if only an option can name it.
   */
  openChild(role: string, reference: string | undefined, how?: ChildOptions): Promise<Storage | undefined>;
  /** Where raw was guessed: throws if `head` as the first sector would make the image one of another format. */
  readonly admitStart?: (head: Uint8Array) => void;
  /** Takes options of a child as they are, though it is not opened. */
  readonly leaveChild: (role: string) => void;
  /** A warning for the user (`warning: ` is put in front by the program), and what can be done about it. */
  readonly warn: (text: string, hint?: Hint) => void;
  /** A warning for the user about data that the file does not have; absent where nobody reads guest data. */
  readonly tellMissing?: (text: string) => void;
  /** An error line for the user besides the error that is going to be thrown, without `qemu-img: ` in front. */
  readonly complain?: (text: string) => void;
  /** A line for the user that stands by itself, as it is. */
  readonly notice?: (text: string) => void;
}

/** What a driver gets to create an image. */
export interface CreateContext {
  /** The new, empty storage below. */
  readonly file: Storage;
  /** Name of the new image as the user knows it. */
  readonly filename: string;
  readonly services: Services;
  /** Options of the protocol; the empty file was made with them already, but for a driver that `preallocates`. */
  readonly protocolOptions?: AnyOptionValues;
  /**
   * Creates (or, with `existing`, opens) a further file of the image for writing.
   * @param name relative names count from the directory of the image; with `asGiven` the name is the user's own, and
   * counts from where the user is.
   */
  createChild(
    name: string,
    size: number,
    how?: { readonly existing?: boolean; readonly asGiven?: boolean; readonly preallocation?: Preallocation },
  ): Promise<Storage>;
  /** Opens the backing image read-only, to look at what it is (its size, VMDK's content id). */
  openBacking(
    file: string,
    format: string | undefined,
  ): Promise<Storage & { readonly format: string; info(): MaybePromise<FormatInfo> }>;
  readonly warn: (text: string, hint?: Hint) => void;
}

/** Bytes that a new image will need. */
export interface Measurement {
  /** File size in bytes when the image holds the data that was measured. */
  readonly required: number;
  /** File size in bytes when every guest byte is allocated. */
  readonly fullyAllocated: number;
  /** Bytes for persistent bitmaps, where the source has some. */
  readonly bitmaps?: number;
}

/** What a driver gets to measure a new image. */
export interface MeasureContext {
  /** Guest size in bytes of the new image. */
  readonly virtualSize: number;
  readonly services: Services;
  /** The image that would be converted, or that has the snapshot; undefined when only a size was given. */
  readonly source?: { readonly bitmaps: BitmapStore | undefined; readonly bitmapsUnread: boolean };
  /**
   * Runs of guest data that would have to be stored, merged, in order; everything of `virtualSize` counts as not
   * allocated when there is no source.
   */
  dataRuns(): AsyncIterable<{ readonly offset: number; readonly length: number }>;
}

/**
 * A disk image format. Registered in `drivers.ts`.
 * A driver names its tables of runtime (`O`) and create (`C`) options, and so gets values of their types; everybody
 * else leaves them open.
 */
export interface FormatDriver<O extends OptionTable = OptionTable, C extends OptionTable = OptionTable> {
  /** Name for `-f`, for instance `qcow2`. */
  readonly name: string;
  /**
   * How sure the driver is, 0 to 100, that an image begins with `head` (at most 2,048 bytes) or has that name.
   * Absent: never found by probing.
   */
  probe?(head: Uint8Array, filename: string): number;
  /** Runtime options (`driver=qcow2,lazy-refcounts=on`). */
  readonly openOptions: O;
  /** Options of `create -o`; absent: the format cannot be created. */
  readonly createOptions?: C;
  /** Options of `amend -o`; absent: the format cannot be amended. */
  readonly amendOptions?: OptionTable;
  /** The format records backing images. */
  readonly supportsBacking?: boolean;
  /** Images of the format can have a {@link ImageDriver.compressor}. */
  readonly compresses?: boolean;
  /** The driver takes a directory or nothing below instead of a file (vvfat). */
  readonly fileless?: boolean;
  /** `create` reserves space itself, so that the protocol's option `preallocation` is for it, not for the empty file. */
  readonly preallocates?: boolean;
  /** True if an image with these create options has no guest size of its own. */
  sizeless?(options: OptionValues<C>): boolean;
  open(context: OpenContext<O>): Promise<ImageDriver>;
  /** Writes an empty image into `context.file`. `options` holds values of `createOptions`, `size` in bytes included. */
  create?(context: CreateContext, options: OptionValues<C>): Promise<void>;
  measure?(context: MeasureContext, options: OptionValues<C>): Promise<Measurement>;
}

/** What a protocol opens: a storage that may have locks and an identity. */
export interface ProtocolStorage extends Storage {
  /** Changes the permissions that are locked; throws kind `locked`. Absent: the protocol has no locks. */
  setAccess?(access: FileAccess): MaybePromise<void>;
  /** Equal for two openings of one object; absent where that cannot be known. */
  readonly identity?: string;
  /** Name of the protocol for `info`, for instance `host_device`; absent: `file`. */
  readonly protocol?: string;
}

/** A protocol: where bytes come from (`file`, later `nbd`, `https`). Tables as in {@link FormatDriver}. */
export interface ProtocolDriver<O extends OptionTable = OptionTable, C extends OptionTable = OptionTable> {
  /** Name for `driver=`, for instance `file`. */
  readonly name: string;
  /** Prefixes of file names that belong to it, without the colon. */
  readonly prefixes: readonly string[];
  readonly openOptions: O;
  readonly createOptions?: C;
  /** Options for a name with one of the prefixes (or without any, for `file`). */
  parseFilename(name: string): OptionTree;
  /** Opens; `access` are the permissions to lock, where the protocol has locks. */
  open(context: ProtocolContext, options: OptionValues<O>): Promise<ProtocolStorage>;
  /** Creates an object of `size` bytes. */
  create?(context: ProtocolContext, name: string, options: OptionValues<C>): Promise<void>;
}

/** What a protocol driver gets. */
export interface ProtocolContext {
  readonly services: Services;
  readonly writable: boolean;
  /** Undefined: take no locks. */
  readonly access: FileAccess | undefined;
  readonly cache: CacheMode | undefined;
  readonly discard: 'ignore' | 'unmap' | undefined;
  /** The driver's own options as they were given, for the name of the storage. */
  readonly given?: OptionTree;
  /** A warning for the user, and what can be done about it. */
  warn?(text: string, hint?: Hint): void;
  /** A line for the user that stands by itself, as it is. */
  notice?(text: string): void;
}
