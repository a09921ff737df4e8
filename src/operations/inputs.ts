/** What the methods of the library are given: object literals with defaults. */
import type { RepairMode } from '../block/capabilities.ts';
import type { Gate } from '../block/gate.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode } from '../storage/files.ts';
import type { Preallocation } from '../storage/storage.ts';
import type { CheckObserver } from './check.ts';
import type { BitmapAction, SnapshotSelector } from './requests.ts';

/**
 * An image: a file name (the format is found by looking at it), a name with its format, or the options of a graph
 * (`{ driver: 'qcow2', file: { driver: 'file', filename: 'a.qcow2' } }`).
 */
export type ImageInput =
  | string
  | { readonly filename: string; readonly format?: string }
  | { readonly options: OptionTree };

/** Bytes, or text with a suffix for powers of 1024: `'10G'`. */
export type SizeInput = number | string;

/** Options of a format as `create -o` has them, for instance `{ cluster_size: '2M', lazy_refcounts: true }`. */
export type FormatOptions = Readonly<Record<string, string | number | boolean>>;

/**
 * Which files an image may have opened that only the image names (backing files, external data files, extents):
 * none, all, those in its own directory, or what a function decides.
 */
export type ImplicitOpen = 'deny' | 'allow' | 'same-directory' | Gate;

/** How an operation runs. */
export interface RunSettings {
  /** Stops the operation: it then fails with kind `aborted`. */
  readonly signal?: AbortSignal;
  /** Work done and in all, mostly in bytes; a copy counts data only, not zeroes. */
  onProgress?(done: number, total: number): void;
  onWarning?(text: string): void;
  /** Default: `deny`. */
  readonly implicitOpen?: ImplicitOpen;
  /** The same as a function in `implicitOpen`. */
  readonly gate?: Gate;
}

/** How an image is opened. */
export interface OpenSettings {
  readonly cache?: CacheMode;
  /** Read even while another program writes to the image. */
  readonly forceShare?: boolean;
}

/** What `createImage` is to do. */
export interface CreateInput {
  readonly filename: string;
  /** Default: `raw`. */
  readonly format?: string;
  /** Absent: the size of the backing image. */
  readonly size?: SizeInput;
  readonly options?: FormatOptions;
  readonly backing?: {
    readonly filename: string;
    readonly format: string;
    /** Do not look at the backing image, so that it may be missing. */
    readonly unsafe?: boolean;
  };
}

/** What `info` is to do. */
export interface InfoInput extends OpenSettings {
  readonly image: ImageInput;
  /** Describe all images below as well; what `implicitOpen` refuses is an error then. */
  readonly backingChain?: boolean;
  readonly limits?: boolean;
}

/** What `check` is to do. */
export interface CheckInput extends OpenSettings, CheckObserver {
  readonly image: ImageInput;
  /** Default: `none`. */
  readonly repair?: RepairMode;
  /** Look at vpc, qcow, luks, bochs, cloop and dmg too, which the real tool cannot check. Default: false. */
  readonly deep?: boolean;
}

/** What `map` is to do. */
export interface MapInput {
  readonly image: ImageInput;
  /** First guest byte, default 0. */
  readonly start?: number;
  /** Bytes; default: to the end. */
  readonly length?: number;
  readonly forceShare?: boolean;
}

/** What `measure` is to do: exactly one of `image` and `size`. */
export interface MeasureInput {
  readonly image?: ImageInput;
  readonly size?: SizeInput;
  /** Format of the new image, default `raw`. */
  readonly format?: string;
  readonly options?: FormatOptions;
  readonly snapshot?: SnapshotSelector;
  readonly forceShare?: boolean;
}

/** What `resize` is to do. */
export interface ResizeInput {
  readonly image: ImageInput;
  /** New size; text with `+` or `-` in front changes the size by so much. */
  readonly size: SizeInput;
  /** Without it a smaller size is an error. */
  readonly shrink?: boolean;
  /** Default: `off`. */
  readonly preallocation?: Preallocation;
}

/** What `convert` is to do. */
export interface ConvertInput {
  /** One image, or several that are put one behind the other. */
  readonly source: ImageInput | readonly ImageInput[];
  /** A file name (`raw`), a name with its format, or the options of an existing image. */
  readonly target: ImageInput;
  readonly options?: FormatOptions;
  readonly backing?: { readonly filename: string; readonly format: string };
  readonly snapshot?: SnapshotSelector;
  readonly compress?: boolean;
  /** Write into an existing image. */
  readonly noCreate?: boolean;
  /** Replace an existing target when the new image is complete, instead of writing over it; it keeps mode and owner. */
  readonly atomic?: boolean;
  readonly targetIsZero?: boolean;
  /** Zeroes in a row that are left out; 0 writes them. Default: 4096. */
  readonly sparseSize?: number;
  readonly bitmaps?: boolean;
  readonly skipBrokenBitmaps?: boolean;
  /** Put zeroes where the source cannot be read. */
  readonly salvage?: boolean;
  /** Bytes per second. */
  readonly rateLimit?: number;
  readonly copyRange?: boolean;
  readonly sourceCache?: CacheMode;
  readonly targetCache?: CacheMode;
  readonly forceShare?: boolean;
}

/** What `compare` is to do. */
export interface CompareInput extends OpenSettings {
  readonly first: ImageInput;
  readonly second: ImageInput;
  readonly strict?: boolean;
}

/** What `dd` is to do. */
export interface DdInput {
  readonly source: ImageInput;
  readonly target: string | { readonly filename: string; readonly format?: string };
  /** Default: 512. */
  readonly blockSize?: SizeInput;
  /** Blocks of the source to look at, skipped ones included; default: all. */
  readonly count?: number;
  /** Blocks to leave out first. */
  readonly skip?: number;
  readonly forceShare?: boolean;
}

/** What `commit` is to do. */
export interface CommitInput {
  readonly image: ImageInput;
  /** Name of the image in the chain to commit into; absent: the next one. */
  readonly base?: string;
  /** Leave the overlay as it is. */
  readonly drop?: boolean;
  /** Bytes per second. */
  readonly rateLimit?: number;
  readonly cache?: CacheMode;
}

/** What `rebase` is to do. */
export interface RebaseInput extends OpenSettings {
  readonly image: ImageInput;
  /** The new backing image; absent: none, the image stands alone then. */
  readonly backing?: { readonly filename: string; readonly format: string };
  /** Only change the name: the content changes where the old and the new backing image differ. */
  readonly unsafe?: boolean;
  readonly compress?: boolean;
}

/** What `snapshot` is to do. */
export interface SnapshotInput {
  readonly image: ImageInput;
  /** Default: `list`. */
  readonly action?: 'list' | 'create' | 'apply' | 'delete';
  /** Name (or id) of the snapshot; needed for everything but `list`. */
  readonly name?: string;
  readonly forceShare?: boolean;
}

/** What `bitmap` is to do. */
export interface BitmapInput {
  readonly image: ImageInput;
  /** Needed unless everything is removed. */
  readonly bitmap?: string;
  /** Done in order. */
  readonly actions: readonly BitmapAction[];
  /** Bytes per bit of a bitmap that is added. */
  readonly granularity?: number;
  /** Image that `merge` takes its bitmaps from; absent: the same image. */
  readonly source?: { readonly filename: string; readonly format?: string };
}

/** What `amend` is to do. */
export interface AmendInput {
  readonly image: ImageInput;
  readonly options: FormatOptions;
  /** Do what may lose access to data, such as erasing the last key. */
  readonly force?: boolean;
  readonly cache?: CacheMode;
}
