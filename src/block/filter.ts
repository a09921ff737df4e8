/** Filters: drivers that stand between an image and what is below it. */
import type { ByteStream } from '../base/byteStream.ts';
import type { FileCompression } from '../codec/codec.ts';
import type { OptionTree } from '../options/tree.ts';
import type { SpoolStorage } from '../storage/forward.ts';
import type { Storage, StorageDriver } from '../storage/storage.ts';
import type { Compressor, Quirks } from './capabilities.ts';
import type { ImageNode } from './node/node.ts';
import type { Services } from './services.ts';

/** A node below a filter. Several storages in a row have the roles `children.0`, `children.1` and so on. */
export interface FilterChild {
  readonly role: string;
  readonly node: Storage | ImageNode;
}

/** What a filter gets when it is opened. */
export interface FilterContext {
  /** What it stands in front of: the node of the role that {@link FilterDriver.child} names, or the first of such a row. */
  readonly below: Storage | ImageNode;
  /** All nodes below, `below` among them, in the order in which they were opened. The caller closes them. */
  readonly children: readonly FilterChild[];
  /** The filter's own options as they were given, without its children and what every node has. */
  readonly options: OptionTree;
  readonly readOnly: boolean;
  readonly services: Services;
  /** The node of that name, if one is open. */
  readonly findNode: (name: string) => Storage | ImageNode | undefined;
  /** Decodes what is below; what may come out of it is bounded (`Services.limits`). */
  expand(method: FileCompression, input: ByteStream): Promise<ByteStream>;
  /** Makes a spool, and tells the user that one is needed; absent where there is no place for any. */
  readonly spool: { spool?(): Promise<SpoolStorage> };
  /** What is in the image may be found out by its beginning, as where no format is given. */
  readonly probe: (head: Uint8Array, name: string) => string | undefined;
  /** Reads a file that an option names. @throws BlockError with its name. */
  readFile(name: string): Promise<Uint8Array>;
}

/** The role of a node below. */
export interface FilterRole {
  /** For instance `image`. */
  readonly role: string;
  /** There are several: `role.0`, `role.1` and so on. */
  readonly many?: boolean;
  /** What is there is an image: its format is found out where it is not given. Absent: bytes as they are. */
  readonly image?: boolean;
  /** Option that gives it by its name alone. */
  readonly alias?: string;
}

/** A driver of that kind. Registered in `drivers.ts`. */
export interface FilterDriver {
  /** Name for `driver=`, for instance `blkdebug`. */
  readonly name: string;
  /** Roles of the nodes below, in the order of their opening. */
  readonly roles: readonly [FilterRole, ...FilterRole[]];
  /** Role of the one that the filter stands in front of. Absent: the first. */
  readonly child?: string;
  /** The names of files that begin with the filter's prefix, where it has names. */
  readonly names?: {
    /** Options of the filter, and the names of the nodes below by their roles. */
    parse(name: string): { readonly options: OptionTree; readonly children: { readonly [role: string]: string } };
    /** The name for these options and the names of what is below; undefined where options do not fit into one. */
    print(options: OptionTree, children: { readonly [role: string]: string }): string | undefined;
  };
  /**
   * What it reads is not what is below (it is put together of several copies): mapping ends here, and what the filter's
   * `status` says is without a place. Absent: mapping looks through the filter, at places and holes of what is below.
   */
  readonly opaque?: boolean;
  /** It stands in front of several copies: relative names inside an image in it count from nowhere. */
  readonly placeless?: boolean;
  /** Options that say how it is used and do not show in its name. */
  readonly weak?: RegExp;
  /** Its name is that of what is below. */
  readonly unnamed?: boolean;
  readonly quirks?: Quirks;
  /** What is written can be compressed, where that can be done below. */
  readonly compresses?: boolean;
  /**
   * Looks at options before the nodes below are opened, whose roles are known.
   * @throws BlockError for those that do not fit together.
   */
  check?(options: OptionTree, roles: readonly string[], services: Services): void;
  /**
   * Wraps the storage below. Bytes keep their places, though not always their values.
   * @throws BlockError for options that it does not know, or that do not fit together.
   */
  open(context: FilterContext): Promise<FilterStorage>;
}

/** What a filter makes of what is below. */
export interface FilterStorage extends StorageDriver {
  /** Called before it is asked where bytes are below; throws if that fails. Not with {@link FilterDriver.opaque}. */
  admitStatus?(offset: number, length: number): void;
  /** Compressed writing. */
  readonly compressor?: Compressor | undefined;
}
