/** Filters: drivers that stand between an image and what is below it. */
import type { OptionTree } from '../options/tree.ts';
import type { Storage, StorageDriver } from '../storage/storage.ts';
import type { Services } from './services.ts';

/** What a filter gets when it is opened. */
export interface FilterContext {
  /** What it stands in front of. The caller closes it. */
  readonly below: Storage;
  /** The filter's own options as they were given, without its child and what every node has. */
  readonly options: OptionTree;
  readonly services: Services;
}

/** A driver of that kind. Registered in `drivers.ts`. */
export interface FilterDriver {
  /** Name for `driver=`, for instance `blkdebug`. */
  readonly name: string;
  /** Role of the node below, for instance `image`. */
  readonly child: string;
  /** The names of files that begin with the filter's prefix, where it has names; `child` is then the name of a file. */
  readonly names?: {
    parse(name: string): { readonly options: OptionTree; readonly child: string };
    /** The name for these options and the name of what is below; undefined where options do not fit into one. */
    print(options: OptionTree, child: string): string | undefined;
  };
  /**
   * What it reads is not what is below (it is another copy, or is checked against one): mapping ends here, everything is data
   * without a place. Absent: mapping looks through the filter, at places and holes of what is below.
   */
  readonly opaque?: boolean;
  /**
   * Wraps the storage below. Bytes keep their places, though not always their values.
   * @throws BlockError for options that it does not know, or that do not fit together.
   */
  open(context: FilterContext): Promise<StorageDriver>;
}
