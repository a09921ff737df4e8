/** What a format implements besides its opened images: registration, opening, creating, measuring. */
import type { MaybePromise } from '../base/async.ts';
import type { Hint } from '../base/hint.ts';
import type { AnyOptionValues, OptionTable, OptionValues } from '../options/table.ts';
import type { Preallocation, Storage } from '../storage/storage.ts';
import type { BitmapStore, FormatInfo, ImageDriver, Quirks } from './capabilities.ts';
import type { Services } from './services.ts';

/** Settings of a storage that an image names by itself: a data file, an extent. */
export interface ChildOptions {
  readonly writable?: boolean;
  /** Nothing is opened where nothing names the storage. */
  readonly optional?: boolean;
  /** The storage holds guest data and no tables, so others may write to it, but not resize it. */
  readonly dataOnly?: boolean;
  /** The name is the user's own: a relative one counts from where the user is, not from the image's directory. */
  readonly asGiven?: boolean;
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
  /**
   * An error line for the user besides the error that is going to be thrown, without `qemu-img: ` in front; `closing` if it is
   * about closing the image.
   */
  readonly complain?: (text: string, closing?: boolean) => void;
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
  readonly source?: { readonly bitmaps?: BitmapStore | undefined; readonly quirks?: Quirks };
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
  /** Images of the format can have a {@link ImageDriver.compressor}. */
  readonly compresses?: boolean;
  /** The guest's bytes are bytes of the file as they are, from some offset on: the image has no tables of its own. */
  readonly plain?: boolean;
  /** The guest's bytes have fixed places in the file: two programs can write without knowing of each other. */
  readonly sharesFile?: boolean;
  /** An image can be made with no bytes at all, grows from there, and reads as zeroes where nothing was written. */
  readonly growsFromEmpty?: boolean;
  /** `create` reserves space itself, so that the protocol's option `preallocation` is for it, not for the empty file. */
  readonly preallocates?: boolean;
  /** True if an image with these create options has no guest size of its own. */
  sizeless?(options: OptionValues<C>): boolean;
  /** True if an image with these create options consists of several files, named after each other. */
  spreads?(options: OptionValues<C>): boolean;
  /** What is wrong with a backing format that nobody knows; absent: it is recorded as it is. */
  unknownBackingFormat?(name: string): string;
  open(context: OpenContext<O>): Promise<ImageDriver>;
  /** Writes an empty image into `context.file`. `options` holds values of `createOptions`, `size` in bytes included. */
  create?(context: CreateContext, options: OptionValues<C>): Promise<void>;
  measure?(context: MeasureContext, options: OptionValues<C>): Promise<Measurement>;
}
