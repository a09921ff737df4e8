/**
 * What each operation is asked to do. Users of the library write these as object literals, the program makes them from
 * argv. A field that is absent or undefined means "as the real tool does without the option": the operation that reads a
 * field knows its default. Sizes and offsets are bytes.
 *
 * Errors name what a request is about: its `image` (`target`, `first`), or what it creates.
 *
 * Numbers, words and images that cannot be are refused by the operation, before it touches anything: kind `invalid-argument`.
 * Checks that need only the arguments and have words of the command line are made by the command; checks that need an image,
 * a driver or its option table are made by the operation, in the real tool's order and with its messages.
 */
import type { RepairMode } from '../block/capabilities.ts';
import type { SocketAddress } from '../block/net.ts';
import type { ReportLine } from '../block/report.ts';
import type { Client } from '../block/serving.ts';
import type { OptionPair } from '../options/keyval.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode } from '../storage/files.ts';
import type { Preallocation } from '../storage/storage.ts';

/** An image by its name. */
export interface NamedImage {
  /** File name, `json:` or protocol name. */
  readonly filename: string;
  /** Driver name. Absent: an existing image is looked at, a new one is raw. */
  readonly format?: string | undefined;
}

/** An existing image by the options of its graph. */
export interface DescribedImage {
  /** For instance `{ driver: 'qcow2', file: { driver: 'file', filename: 'a.qcow2' } }`. */
  readonly options: OptionTree;
  /** What messages call the image: the program has the description as it was written. Default: `image`. */
  readonly name?: string | undefined;
}

/** An image: a file name (the format is found by looking at it), a name with its format, or the options of a graph. */
export type ImageInput = string | NamedImage | DescribedImage;

/** Bytes, or text with a suffix for powers of 1024: `'10G'`. */
export type SizeInput = number | string;

/**
 * Options of a format as `create -o` has them, for instance `{ cluster_size: '2M', lazy_refcounts: true }`; or a list of
 * them in order, in which the last of a name counts.
 */
export type FormatOptions = Readonly<Record<string, string | number | boolean>> | readonly OptionPair[];

/** The backing image that an image is going to have. */
export interface BackingInput {
  /** Absent: as the `backing_file` of `options` says, or none. */
  readonly filename?: string | undefined;
  /** Has to be there when the backing image is: what a file looks like is up to whoever writes to it. */
  readonly format?: string | undefined;
}

/** How an image is opened. */
export interface OpenSettings {
  readonly cache?: CacheMode | undefined;
  /** Read even while another program writes to the image. */
  readonly forceShare?: boolean | undefined;
}

/** One internal snapshot as the source of a copy. */
export type SnapshotSelector =
  | { /** Id or name. */ readonly either: string }
  | { readonly id?: string | undefined; readonly name?: string | undefined };

/** What `create` is to do: writes an empty image. */
export interface CreateRequest {
  readonly filename: string;
  /** Driver name. Default: `raw`. */
  readonly format?: string | undefined;
  /** Guest size. Absent: that of the backing image. */
  readonly size?: SizeInput | undefined;
  readonly options?: FormatOptions | undefined;
  readonly backing?: NewBacking | undefined;
}

/** The backing image of an image that is created. */
export interface NewBacking extends BackingInput {
  /** Do not look at the backing image, so that it may be missing. */
  readonly unsafe?: boolean | undefined;
}

/** What `info` is to do: describes an image and, on request, its backing chain. */
export interface InfoRequest extends OpenSettings {
  readonly image: ImageInput;
  /** Describe all images below as well; what `implicitOpen` refuses is an error then. */
  readonly backingChain?: boolean | undefined;
  /** Limits of requests too; they may depend on the cache mode. */
  readonly limits?: boolean | undefined;
}

/** Repairs that were made. */
export interface Repairs {
  readonly leaks: number;
  readonly corruptions: number;
}

/** What `check` is to do: looks for structural damage and, on request, repairs it. */
export interface CheckRequest extends OpenSettings {
  readonly image: ImageInput;
  /** Default: `none`. */
  readonly repair?: RepairMode | undefined;
  /** Look at vpc, qcow, luks, bochs, cloop and dmg too, which the real tool cannot check or repair. */
  readonly deep?: boolean | undefined;
  /** A line of the report, as the format's check reports it; advice follows in further lines of the text. */
  line?(line: Pick<ReportLine, 'severity' | 'text'>): void;
  /** Something was repaired, and the image is going to be checked again. */
  repaired?(repairs: Repairs): void;
}

/** What `map` is to do: lists what is allocated where. */
export interface MapRequest {
  readonly image: ImageInput;
  /** First guest byte. Default: 0. */
  readonly start?: number | undefined;
  /** Absent: to the end. */
  readonly length?: number | undefined;
  readonly forceShare?: boolean | undefined;
}

/** What `measure` is to do: bytes a new image will need. Exactly one of `image` and `size` is there. */
export interface MeasureRequest {
  readonly image?: ImageInput | undefined;
  readonly size?: SizeInput | undefined;
  /** Format of the new image. Default: `raw`. */
  readonly format?: string | undefined;
  readonly options?: FormatOptions | undefined;
  readonly snapshot?: SnapshotSelector | undefined;
  readonly forceShare?: boolean | undefined;
}

/** What `compare` is to do: says whether two images have the same guest content. */
export interface CompareRequest extends OpenSettings {
  readonly first: ImageInput;
  readonly second: ImageInput;
  /** Different sizes and different allocation are differences. */
  readonly strict?: boolean | undefined;
}

/** When images share blocks; see {@link ConvertRequest}. */
export type ReflinkMode = 'auto' | 'always' | 'never';

/** What `convert` is to do: copies one or more images, one behind the other, into a new or an existing image. */
export interface ConvertRequest {
  /** One image, or several that are put one behind the other. */
  readonly source: ImageInput | readonly ImageInput[];
  /** A name, or with `noCreate` the options of an existing image. Without a format it is raw. */
  readonly target: ImageInput;
  readonly options?: FormatOptions | undefined;
  readonly backing?: BackingInput | undefined;
  readonly snapshot?: SnapshotSelector | undefined;
  readonly compress?: boolean | undefined;
  /** Write into an existing image. */
  readonly noCreate?: boolean | undefined;
  /** Replace an existing target when the new image is complete, instead of writing over it; it keeps mode and owner. */
  readonly atomic?: boolean | undefined;
  /**
   * The target is on the medium when the call returns: its data before its name, and the name. Without it that is so
   * where `targetCache` is not `unsafe`, which is the default; only a new name of several files is not then.
   */
  readonly durable?: boolean | undefined;
  /** With `noCreate`: the target reads as zeroes already. */
  readonly targetIsZero?: boolean | undefined;
  /** Zeroes in a row that are left out, a multiple of 512; 0 writes them. Default: 4096. */
  readonly sparseSize?: number | undefined;
  /** Copy the persistent bitmaps too. */
  readonly bitmaps?: boolean | undefined;
  readonly skipBrokenBitmaps?: boolean | undefined;
  /** Put zeroes where the source cannot be read. */
  readonly salvage?: boolean | undefined;
  /** Whole bytes per second. Default, and 0: no limit. */
  readonly rateLimit?: number | undefined;
  /**
   * Pieces of a MiB or two that are under way at the same time, 1 to 16. Default: as many as pay, up to 16 where reading or
   * writing is slow.
   */
  readonly parallel?: number | undefined;
  /** Write pieces when they are read, in whatever order that is. What is compressed stays in order. */
  readonly outOfOrder?: boolean | undefined;
  /** Let the storage copy by itself, where it can. */
  readonly copyRange?: boolean | undefined;
  /**
   * Whether the new image and the source share what they have in common until one of them is changed, where both are on one
   * file system that can do that. No zeroes are looked for in what is shared. `always`: or nothing is done. Default: `auto`,
   * which shares nothing where zeroes are looked for in other ways than by default (`sparseSize`), or data are compressed,
   * encrypted, salvaged or preallocated.
   */
  readonly reflink?: ReflinkMode | undefined;
  /** Default: `writeback`. */
  readonly sourceCache?: CacheMode | undefined;
  /** Default: `unsafe`. */
  readonly targetCache?: CacheMode | undefined;
  readonly forceShare?: boolean | undefined;
}

/** What `dd` is to do: copies blocks. */
export interface DdRequest {
  readonly source: ImageInput;
  /** What was there before is lost. Without a format it is raw. */
  readonly target: string | NamedImage;
  /** Default: 512. */
  readonly blockSize?: SizeInput | undefined;
  /** Blocks of the source to look at, skipped ones included. Absent: all. */
  readonly count?: number | undefined;
  /** Blocks to leave out at the start of the source. Default: 0. */
  readonly skip?: number | undefined;
  readonly forceShare?: boolean | undefined;
}

/** What `commit` is to do: moves an overlay's content down into an image of its chain. */
export interface CommitRequest {
  readonly image: ImageInput;
  /** Name of the image in the chain to commit into. Absent: the next one. */
  readonly base?: string | undefined;
  /** Leave the overlay as it is afterwards. */
  readonly drop?: boolean | undefined;
  readonly cache?: CacheMode | undefined;
  /** Whole bytes per second. Default, and 0: no limit. */
  readonly rateLimit?: number | undefined;
}

/** What `rebase` is to do: gives an image another backing image, or none. */
export interface RebaseRequest {
  readonly image: ImageInput;
  /** The new backing image; it needs a format. Absent, or with an empty name: none, the image stands alone then. */
  readonly backing?: NamedImage | undefined;
  /** Only change the name: the content changes where the old and the new backing image differ. */
  readonly unsafe?: boolean | undefined;
  readonly compress?: boolean | undefined;
  readonly cache?: CacheMode | undefined;
  /** Of the new backing image. */
  readonly backingCache?: CacheMode | undefined;
  /** Read the new backing image even while another program writes to it. */
  readonly forceShare?: boolean | undefined;
}

/** What `resize` is to do: changes the guest size. */
export interface ResizeRequest {
  readonly image: ImageInput;
  /** New size; text with `+` or `-` in front changes the size by so much. */
  readonly size: SizeInput;
  /** Without it a smaller size is an error. */
  readonly shrink?: boolean | undefined;
  /** Default: `off`. */
  readonly preallocation?: Preallocation | undefined;
}

/** What `snapshot` is to do: lists or changes internal snapshots. */
export interface SnapshotRequest {
  readonly image: ImageInput;
  /** Default: `list`. */
  readonly action?: 'list' | 'create' | 'apply' | 'delete' | undefined;
  /** Name (or id) of the snapshot; needed for everything but `list`. */
  readonly name?: string | undefined;
  readonly forceShare?: boolean | undefined;
}

/** One step of `bitmap`. */
export type BitmapAction =
  | { readonly kind: 'add' | 'remove' | 'clear' | 'enable' | 'disable' | 'remove-all' }
  | { readonly kind: 'merge'; readonly source: string };

/** What `bitmap` is to do: changes persistent dirty bitmaps. */
export interface BitmapRequest {
  readonly image: ImageInput;
  /** Needed unless every action is `remove-all`. */
  readonly bitmap?: string | undefined;
  /** Done in order. */
  readonly actions: readonly BitmapAction[];
  /** Bytes per bit of a bitmap that is added. */
  readonly granularity?: number | undefined;
  /** Image that `merge` takes its bitmaps from. Absent: the same image. */
  readonly source?: ImageInput | undefined;
}

/** What `amend` is to do: changes options of an existing image. */
export interface AmendRequest {
  readonly image: ImageInput;
  readonly options: FormatOptions;
  /** Do what may lose access to data, such as erasing the last key. */
  readonly force?: boolean | undefined;
  readonly cache?: CacheMode | undefined;
}

/** What `inspect` is to do: looks at an image that nobody vouches for. */
export interface InspectRequest {
  /** A name; the format is that which the image should have. */
  readonly image: string | NamedImage;
  /** Read even while another program writes to the image. */
  readonly forceShare?: boolean | undefined;
}

/** What `bench` is to do: times a run of requests. */
export interface BenchRequest extends OpenSettings {
  readonly image: ImageInput;
  /** Requests in all. Default: 75000. */
  readonly count?: number | undefined;
  /** Requests at a time. Default: 64. */
  readonly depth?: number | undefined;
  /** Where the first request starts. Default: 0. */
  readonly offset?: number | undefined;
  /** Bytes in a request. Default: 4096. */
  readonly bufferSize?: number | undefined;
  /** Bytes from one request to the next. Default, and 0: the buffer size. */
  readonly stepSize?: number | undefined;
  /** Write instead of reading. */
  readonly write?: boolean | undefined;
  /** Byte value that is written. Default: 0. */
  readonly pattern?: number | undefined;
  /** Flush after so many requests. Default: 0, never. */
  readonly flushInterval?: number | undefined;
  /** Wait for the requests under way before a flush. Default: true. */
  readonly drainOnFlush?: boolean | undefined;
  /** How to send requests. It is checked, and makes no difference. */
  readonly aio?: 'threads' | 'native' | 'io_uring' | undefined;
}

/** An image that clients can ask for. */
export interface ExportRequest {
  readonly image: ImageInput;
  /** The name by which they do, at most 4,096 bytes. Default: none. */
  readonly name?: string | undefined;
  /** For people. */
  readonly description?: string | undefined;
}

/** What `serve` is to do: gives images to others, until it is told to end or the last client has gone. */
export interface ServeRequest extends OpenSettings {
  /** The only image. Either this or `exports` is there. */
  readonly image?: ImageInput | undefined;
  /** Several of them, with different names. */
  readonly exports?: readonly ExportRequest[] | undefined;
  /** Clients may write. */
  readonly writable?: boolean | undefined;
  /** They may, and the images stay as they are: what was written is gone with the server. */
  readonly temporary?: boolean | undefined;
  /** This snapshot of the image, to be read only. */
  readonly snapshot?: SnapshotSelector | undefined;
  /** Bitmaps whose dirty blocks clients may ask for: names, which every image has to have, or all that each one has. */
  readonly bitmaps?: readonly string[] | 'all' | undefined;
  /** Clients may ask which image of the chain has what. */
  readonly allocationDepth?: boolean | undefined;
  /** Whether what clients discard is given back to the file system. Default: `unmap`. */
  readonly discard?: 'ignore' | 'unmap' | undefined;
  /** Where to listen. Default: port 10809 of this machine, which only programs on it can reach. Port 0: any that is free. */
  readonly address?: SocketAddress | undefined;
  /** Id of the TLS credentials (of a server): everybody has to use TLS then. */
  readonly tlsCredentials?: string | undefined;
  /** Clients at a time; others wait. 0: any number. Default: 256. */
  readonly shared?: number | undefined;
  /** Go on when the last client has gone. */
  readonly persistent?: boolean | undefined;
  /** Seconds that a client has to choose an export. 0: any time. Default: 10. */
  readonly handshakeLimit?: number | undefined;
  /** A client has chosen an export. */
  connected?(client: Client): void;
  /** It has gone. @param reason why, if not because it wanted to. */
  disconnected?(client: Client, reason: string | undefined): void;
}
