/**
 * What each operation is asked to do: plain data, already free of command-line syntax. The program makes these from
 * argv, a library user writes them as object literals. Sizes and offsets are bytes. An absent field means "as the real
 * tool does without the option".
 *
 * Checks that need only the arguments are made by the command; checks that need an image, a driver or its option table
 * are made by the operation, in the real tool's order and with its messages.
 */
import type { RepairMode } from '../block/capabilities.ts';
import type { OptionPair } from '../options/keyval.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode } from '../storage/files.ts';
import type { Preallocation } from '../storage/storage.ts';

/** An existing image, as the user names it. */
export interface ImageSource {
  /** File name, `json:` or protocol name; with `imageOptions`, the option string as written (for messages). */
  readonly filename: string;
  /** Driver name; absent: probed. Never given together with `imageOptions`. */
  readonly format?: string;
  /** Parsed `--image-opts`: the image is described by these options and not by `filename`. */
  readonly imageOptions?: OptionTree;
}

/** `create`: writes an empty image. */
export interface CreateRequest {
  readonly filename: string;
  /** Driver name, `raw` by default. */
  readonly format: string;
  /** `-o` options in order; the operation coerces them with the driver's table (and the protocol's). */
  readonly options: readonly OptionPair[];
  /** Guest size; absent: that of the backing image. */
  readonly size?: number;
  /** `-b`; conflicts with `backing_file` in `options` are the operation's to report. */
  readonly backingFile?: string;
  /** `-B`/`-F`. */
  readonly backingFormat?: string;
  /** `-u`: do not open the backing image. */
  readonly backingUnsafe: boolean;
  /** No `Formatting ...` line. */
  readonly quiet: boolean;
}

/** `info`: describes an image and, on request, its backing chain. */
export interface InfoRequest {
  readonly image: ImageSource;
  readonly backingChain: boolean;
  /** `-t`; changes the limits that are shown. */
  readonly cache?: CacheMode;
  /** Collect block limits too. */
  readonly limits: boolean;
  readonly forceShare: boolean;
}

/** `check`: looks for structural damage and repairs it. */
export interface CheckRequest {
  readonly image: ImageSource;
  readonly repair: RepairMode;
  /** Look at formats too for which the real tool has no checks; these cannot be repaired. */
  readonly deep?: boolean;
  readonly cache?: CacheMode;
  readonly forceShare: boolean;
}

/** `map`: lists what is allocated where. */
export interface MapRequest {
  readonly image: ImageSource;
  readonly startOffset: number;
  /** Absent: to the end of the image. */
  readonly maxLength?: number;
  readonly forceShare: boolean;
}

/** `measure`: bytes a new image will need. Exactly one of `image` and `size` is there. */
export interface MeasureRequest {
  readonly image?: ImageSource;
  readonly size?: number;
  /** Target driver name, `raw` by default. */
  readonly targetFormat: string;
  /** `-o` options of the target. */
  readonly options: readonly OptionPair[];
  readonly snapshot?: SnapshotSelector;
  readonly forceShare: boolean;
}

/** `-l` of convert and measure: one internal snapshot as the source. */
export type SnapshotSelector =
  | { /** Id or name. */ readonly either: string }
  | { readonly id?: string; readonly name?: string };

/** `compare`: whether two images have the same guest content. */
export interface CompareRequest {
  readonly first: ImageSource;
  readonly second: ImageSource;
  /** Different sizes and different allocation are differences. */
  readonly strict: boolean;
  readonly cache?: CacheMode;
  readonly forceShare: boolean;
}

/** Where `convert` writes. */
export interface ConvertTarget {
  readonly filename: string;
  /** Driver name; absent with `imageOptions`. */
  readonly format?: string;
  /** `--target-image-opts`: an existing image described by options. */
  readonly imageOptions?: OptionTree;
}

/** `convert`: copies one or more images, one behind the other, into a new or an existing image. */
export interface ConvertRequest {
  /** At least one. */
  readonly sources: readonly ImageSource[];
  readonly target: ConvertTarget;
  /** `-o` options of the target. */
  readonly options: readonly OptionPair[];
  readonly snapshot?: SnapshotSelector;
  readonly backingFile?: string;
  readonly backingFormat?: string;
  readonly sourceCache?: CacheMode;
  readonly targetCache?: CacheMode;
  /** `-S` in bytes, a multiple of 512; 0 means that zeroes are written as data. Absent: 4096. */
  readonly sparseSize?: number;
  /** `-n`: write into an existing image. */
  readonly noCreate: boolean;
  /** An existing target is replaced when the new image is complete, instead of being written over. */
  readonly atomic?: boolean;
  readonly targetIsZero: boolean;
  readonly compress: boolean;
  readonly copyBitmaps: boolean;
  readonly skipBrokenBitmaps: boolean;
  readonly salvage: boolean;
  /** Bytes per second. */
  readonly rateLimit?: number;
  /** `-m`, 1 to 16. */
  readonly parallel?: number;
  readonly outOfOrder: boolean;
  readonly copyRange: boolean;
  readonly quiet: boolean;
  readonly forceShare: boolean;
}

/** `dd`: copies blocks. */
export interface DdRequest {
  readonly input: ImageSource;
  readonly outputFilename: string;
  /** Driver name, `raw` by default. */
  readonly outputFormat: string;
  readonly blockSize: number;
  /** Blocks to copy; absent: all. */
  readonly count?: number;
  /** Blocks to leave out at the start of the input. */
  readonly skip: number;
  readonly forceShare: boolean;
}

/** `commit`: moves an overlay's content down into a backing image. */
export interface CommitRequest {
  readonly image: ImageSource;
  /** Name of the backing image to commit into; absent: the next one. */
  readonly base?: string;
  /** Leave the overlay as it is afterwards. */
  readonly drop: boolean;
  readonly cache?: CacheMode;
  readonly rateLimit?: number;
  readonly quiet: boolean;
}

/** `rebase`: gives an image another backing file. */
export interface RebaseRequest {
  readonly image: ImageSource;
  /** New backing name; the empty string means none. Absent only with `backingUnsafe` missing: reported by the command. */
  readonly backingFile: string;
  readonly backingFormat?: string;
  /** Only change the name; content may change. */
  readonly backingUnsafe: boolean;
  readonly compress: boolean;
  readonly cache?: CacheMode;
  readonly backingCache?: CacheMode;
  readonly forceShare: boolean;
  readonly quiet: boolean;
}

/** `resize`: changes the guest size. */
export interface ResizeRequest {
  readonly image: ImageSource;
  /** Bytes: the new size, or how much to add (`+`) or take away (`-`). */
  readonly size: number;
  readonly relative: '' | '+' | '-';
  readonly shrink: boolean;
  readonly preallocation: Preallocation;
  readonly quiet: boolean;
}

/** `snapshot`: lists or changes internal snapshots. */
export interface SnapshotRequest {
  readonly image: ImageSource;
  readonly action: 'list' | 'create' | 'apply' | 'delete';
  /** Absent only for `list`. */
  readonly name?: string;
  readonly forceShare: boolean;
  readonly quiet: boolean;
}

/** One step of `bitmap`; steps are done in order. */
export type BitmapAction =
  | { readonly kind: 'add' | 'remove' | 'clear' | 'enable' | 'disable' | 'remove-all' }
  | { readonly kind: 'merge'; readonly source: string };

/** `bitmap`: changes persistent dirty bitmaps. */
export interface BitmapRequest {
  readonly image: ImageSource;
  /** Absent only if every action is `remove-all`. */
  readonly bitmap?: string;
  readonly actions: readonly BitmapAction[];
  /** Bytes per bit for `add`. */
  readonly granularity?: number;
  /** Image that `merge` takes its bitmaps from; absent: the same image. */
  readonly sourceFile?: string;
  readonly sourceFormat?: string;
}

/** `amend`: changes format-specific options. */
export interface AmendRequest {
  readonly image: ImageSource;
  readonly options: readonly OptionPair[];
  readonly force: boolean;
  readonly cache?: CacheMode;
  readonly quiet: boolean;
}

/** `bench`: times a run of requests. */
export interface BenchRequest {
  readonly image: ImageSource;
  readonly cache?: CacheMode;
  readonly count: number;
  readonly depth: number;
  readonly offset: number;
  readonly bufferSize: number;
  /** Bytes from one request to the next; 0 is replaced by the buffer size. */
  readonly stepSize: number;
  readonly write: boolean;
  /** Byte value that is written. */
  readonly pattern: number;
  /** Flush after so many requests; 0 never. */
  readonly flushInterval: number;
  readonly drainOnFlush: boolean;
  readonly aio?: 'threads' | 'native' | 'io_uring';
  readonly forceShare: boolean;
  readonly quiet: boolean;
}
