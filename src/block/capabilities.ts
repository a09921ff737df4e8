/**
 * The thin side of the block layer: what an opened image implements. A driver says where guest bytes are; the node
 * (`node.ts`) moves them, and owns bounds, alignment, read-modify-write, copy-on-write, zero and discard emulation. What only
 * some images can do is a capability: a member of {@link ImageDriver} that is there or not.
 */
import type { MaybePromise } from '../base/async.ts';
import type { OptionTable, OptionValues } from '../options/table.ts';
import type { Limits, Preallocation, Storage, ZeroFlags } from '../storage/storage.ts';
import type { Allocation, Mapping } from './mapping.ts';
import type { Report } from './report.ts';

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

/** Coding of compressed units, apart from storing them, so that it can run on all cores. */
export interface Coder {
  /** Guest bytes in one compressed unit; units start at multiples of it. */
  readonly unit: number;
  /**
   * Codes consecutive units (the last may be short only at the end of the image). An element is undefined where
   * coding does not pay; such units are written as plain data.
   * @param mayOverwrite what is coded may take the place of the unit in `bytes`; units that are not coded stay.
   */
  encode(guestOffset: number, bytes: Uint8Array, mayOverwrite?: boolean): Promise<(Uint8Array | undefined)[]>;
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
  check(repair: RepairMode, report: Report, deep: boolean): Promise<CheckFindings>;
}

/** Changing options of an existing image; nobody else may use its file meanwhile where `alone` says so. `A` is the driver's table of such options. */
export interface Amender<A extends OptionTable = OptionTable> {
  readonly alone?: boolean;
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

/** Changing the guest's bytes. Callers never make two of these calls at the same time. */
export interface Writing {
  /** Finds or makes room for the guest range. */
  allocate(offset: number, length: number): MaybePromise<Allocation>;
  /**
   * Makes whole allocation units (or up to the end of the image) read as zeroes; absent: zeroes are written as data.
   * Where `limits.writeZeroesAlignment` is smaller than a unit, the range may begin and end at its multiples, except in
   * units that are stored compressed.
   */
  readonly writeZeroes?: ((offset: number, length: number, flags: ZeroFlags) => MaybePromise<void>) | undefined;
  /** Gives up whole allocation units (or up to the end of the image). */
  discard?(offset: number, length: number): MaybePromise<void>;
  /** @param covered the backing image reaches into the new area, which is made to read as zeroes afterwards. */
  resize?(size: number, preallocation: Preallocation, covered: boolean): Promise<void>;
  /** Makes changes that bitmaps are not to record. */
  unrecorded?(changes: () => Promise<void>): Promise<void>;
  readonly compressor?: Compressor | undefined;
}

/** Dealing with a backing image. */
export interface Backing {
  /** As the image names it; undefined: it names none. */
  readonly reference: BackingReference | undefined;
  /** Called before bytes of a backing image are taken: throws if it is not the one that this image was made for. */
  admit?(backing: ImageDriver): void;
  /** Records another one; undefined removes it. Content does not change. */
  set?(backing: BackingReference | undefined): Promise<void>;
  /** Drops every allocation, so that all content comes from the backing image (the end of `commit`). */
  makeEmpty?(): Promise<void>;
  /** A new area can hide a backing image that reaches into it; without that such a growth is refused. */
  readonly hides?: boolean;
}

/** What becomes of stored guest data that the file does not have, as it was cut off. */
export interface BeyondEnd {
  /** It cannot be read (`lost`), or reads as zeroes, with a warning (`told`). */
  readonly data: 'lost' | 'told';
  /** False if a place was never data of this image: its entry is wild. Absent: all were. */
  vouches?(storage: Storage, offset: number): MaybePromise<boolean>;
}

/** What the real tool does with images of the format that nobody would expect; scripts see it, and so it is the same here. */
export interface Quirks {
  /** It cannot tell where data is: `map` and `measure` show all of it as data. */
  readonly opaque?: boolean;
  /** What it sees as one run ends at multiples of this, if not before. */
  readonly strideUnit?: number | undefined;
  /** It records zeroes for a whole unit that has no room and reads as zeroes as soon as a part of it is zeroed. */
  readonly zeroesWholeUnits?: boolean;
  /** It does not read the bitmaps that the format has: copies have none, and that is no error. */
  readonly ignoresBitmaps?: boolean;
  /** What it says where the image can have no bitmaps, though others of the format can. */
  readonly noBitmaps?: string;
  /** It does not know the clusters of the format: it cannot rebase, and copies without regard to them. */
  readonly unknownClusters?: boolean | undefined;
  /** Images name no backing image, but options can. */
  readonly backedByOptions?: boolean;
  /** It reads and writes whole sectors only, whatever is possible: `info` shows limits like that. */
  readonly inSectors?: boolean;
  /** It cannot open an image for writing that is open for reading: nothing is committed into such. */
  readonly staysReadOnly?: boolean;
}

/** What makes a node a filter. */
export interface FilterPart {
  /** Role of what it stands in front of. */
  readonly role: string;
  /** As `FilterDriver.opaque`. */
  readonly opaque: boolean;
  /** There is one node below, and never more: snapshots are those of that one. */
  readonly single: boolean;
  /** As `FilterDriver.placeless`. */
  readonly placeless: boolean;
  /** All that is below it, in the order of opening; closed together with the node. */
  readonly children: readonly { readonly role: string; readonly node: Storage }[];
}

/** One opened image, its own layer only. */
export interface ImageDriver {
  /** Guest-visible size in bytes now. */
  readonly virtualSize: number;
  /** Of the guest view: `requestAlignment` 512 makes the node round all reads and writes to sectors. */
  readonly limits?: Partial<Limits>;
  /**
   * Guest bytes that can be allocated or zeroed as one; powers of two. No two requests of which one writes are inside one unit
   * at the same time. Absent: 1.
   */
  readonly allocationUnit?: number | undefined;
  /** Where the run at `offset` is. `offset + length` never exceeds the virtual size. May run beside other calls. */
  map(offset: number, length: number): MaybePromise<Mapping>;
  /** The image is a filter: its bytes are read from here, whatever `map` says of the places where they are stored. */
  readonly through?: Storage;
  /** Decodes a range that `map` called special. May run beside other calls. */
  readSpecial?(offset: number, into: Uint8Array): MaybePromise<void>;
  info(): MaybePromise<FormatInfo>;
  /** Reads what has not been read, where that is what checksums are about. @throws BlockError if one is wrong. */
  verify?(): Promise<void>;
  /** Writes cached metadata in safe order and flushes the storages below. */
  flush(): MaybePromise<void>;
  /** Flushes and releases what the driver itself opened (not the `file` it was given). */
  close(): MaybePromise<void>;
  /** Storages besides `file` that hold the image's bytes, by child name (`data-file`, `extents.0`). */
  readonly children?: readonly { readonly role: string; readonly node: Storage }[];
  /** Bytes on the medium if the driver knows better than the sum of its storages. */
  allocatedSize?(): MaybePromise<number | undefined>;
  /** Absent: images of the format can only be read. */
  readonly writing?: Writing | undefined;
  /** Absent: images of the format have no backing images. */
  readonly backing?: Backing | undefined;
  readonly snapshots?: SnapshotStore | undefined;
  readonly bitmaps?: BitmapStore | undefined;
  readonly checker?: Checker | undefined;
  readonly amender?: Amender | undefined;
  /** Absent: the file is not looked at. */
  readonly beyondEnd?: BeyondEnd | undefined;
  readonly quirks?: Quirks;
  /** As `Storage.debugEvent`: what the image itself is told by others. */
  readonly debugEvent?: Storage['debugEvent'];
  /** Whom the node tells of reads and writes: the file of formats whose reads and writes the real tool tells of. */
  readonly events?: Storage['debugEvent'];
}
