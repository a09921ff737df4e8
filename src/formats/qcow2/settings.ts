/** Settings of a new image: option values checked with the real tool's messages. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignUp, isPowerOfTwo, log2, MAX_DISK } from '../../base/offset.ts';
import type { Preallocation } from '../../storage/storage.ts';
import type { Header } from './structure/header.ts';
import { Autoclear, Compatible, Incompatible, MAX_L1_BYTES, MIN_EXTENDED_CLUSTER } from './structure/layout.ts';
import type { CreateOptions } from './options.ts';

/** A checked set of create options. */
export interface Settings {
  readonly version: 2 | 3;
  /** Guest size in bytes, a multiple of 512. */
  readonly size: number;
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly extended: boolean;
  readonly lazyRefcounts: boolean;
  readonly compressionType: 0 | 1;
  readonly preallocation: Preallocation;
  readonly backingFile?: string;
  readonly backingFormat?: string;
  readonly dataFile?: string;
  readonly rawData: boolean;
  readonly keepData: boolean;
}

function needsV3(what: string, suffix: string): BlockError {
  return invalidArgument(`${what} compatibility level 1.1 ${suffix} (use version=v3 or greater)`);
}

function choice<T extends string>(value: string, parameter: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw invalidArgument(`Parameter '${parameter}' does not accept value '${value}'`);
  return found;
}

/** The version that `compat` asks for. */
export function versionOf(options: CreateOptions): 2 | 3 {
  switch (options.compat) {
    case undefined:
    case '1.1':
    case 'v3':
      return 3;
    case '0.10':
    case 'v2':
      return 2;
    default:
      throw invalidArgument(`Parameter 'version' does not accept value '${options.compat}'`);
  }
}

/** Checks the cluster size of new images. */
export function checkClusterSize(size: number, extended: boolean): void {
  if (size < 512 || size > 2097152 || !isPowerOfTwo(size)) {
    throw invalidArgument('Cluster size must be a power of two between 512 and 2048k');
  }
  if (extended && size < MIN_EXTENDED_CLUSTER) {
    throw invalidArgument('Extended L2 entries are only supported with cluster sizes of at least 16384 bytes');
  }
}

/** Checks the refcount width of new images, without regard to the version. */
export function checkRefcountBits(bits: number): void {
  if (bits > 64 || !isPowerOfTwo(bits)) {
    throw invalidArgument('Refcount width must be a power of two and may not exceed 64 bits');
  }
}

/** Entries of the L1 table of a new image. */
export function l1EntriesOf(size: number, clusterSize: number, extended: boolean): number {
  return Math.ceil(size / ((clusterSize / (extended ? 16 : 8)) * clusterSize));
}

/** Checks the values of the create options against each other. */
export function settingsOf(options: CreateOptions): Settings {
  const preallocation = choice(options.preallocation ?? 'off', 'preallocation', ['off', 'metadata', 'falloc', 'full']);
  const version = versionOf(options);
  const compression = choice(options.compression_type, 'compression-type', ['zlib', 'zstd']);
  const clusterSize = options.cluster_size;
  const extended = options.extended_l2;
  if (extended && version < 3) throw needsV3('Extended L2 entries are only supported with', 'and above');
  checkClusterSize(clusterSize, extended);
  const settings: Settings = {
    version,
    size: alignUp(options.size ?? 0, 512),
    clusterSize,
    refcountBits: options.refcount_bits,
    extended,
    lazyRefcounts: options.lazy_refcounts,
    compressionType: compression === 'zstd' ? 1 : 0,
    preallocation,
    ...optional('backingFile', options.backing_file),
    ...optional('backingFormat', options.backing_fmt),
    ...optional('dataFile', options.data_file),
    rawData: options.data_file_raw === true,
    keepData: options.keep_data_file === true,
  };
  checkTogether(settings);
  return settings;
}

function optional<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: string });
}

function checkTogether(s: Settings): void {
  if (s.preallocation !== 'off' && s.backingFile !== undefined && !s.extended) {
    throw invalidArgument('Backing file and preallocation can only be used at the same time if extended_l2 is on');
  }
  if (s.backingFormat !== undefined && s.backingFile === undefined) {
    throw invalidArgument('Backing format cannot be used without backing file');
  }
  if (s.version < 3 && s.lazyRefcounts) throw needsV3('Lazy refcounts only supported with', 'and above');
  checkRefcountBits(s.refcountBits);
  if (s.version < 3 && s.refcountBits !== 16)
    throw needsV3('Different refcount widths than 16 bits require', 'or above');
  checkDataFile(s);
  if (s.version < 3 && s.compressionType !== 0) {
    throw needsV3('Non-zlib compression type is only supported with', 'and above');
  }
  checkSize(s);
}

/** Sizes beyond those of disks are refused by the block layer before the format looks at them. */
function checkSize(s: Settings): void {
  if (s.size >= 2 ** 63) throw invalidArgument('Could not resize image: Image size cannot be negative');
  if (s.size > MAX_DISK) {
    throw invalidArgument(`Could not resize image: offset(${BigInt(s.size)}) exceeds maximum(${BigInt(MAX_DISK)})`);
  }
  if (l1EntriesOf(s.size, s.clusterSize, s.extended) * 8 > MAX_L1_BYTES) throw tooLarge();
}

/** The error for a size whose L1 table would be too large; the program names the format in its own words. */
function tooLarge(): BlockError {
  return new BlockError(
    'too-large',
    "The image size is too large for file format 'qcow2' (try using a larger cluster size)",
  );
}

function checkDataFile(s: Settings): void {
  if (s.rawData && s.dataFile === undefined) throw invalidArgument('data-file-raw requires data-file');
  if (s.rawData && s.backingFile !== undefined) {
    throw invalidArgument('Backing file and data-file-raw cannot be used at the same time');
  }
  if (s.dataFile !== undefined && s.version < 3) {
    throw needsV3('External data files are only supported with', 'and above');
  }
  if (s.keepData && s.dataFile === undefined)
    throw invalidArgument("Must not use 'keep_data_file=on' without 'data_file'");
}

/** Refuses to keep a data file that would be overwritten or never seen. The real tool opens the file before it asks. */
export function checkKeptData(s: Settings): void {
  if (s.preallocation !== 'off' && s.preallocation !== 'metadata') {
    throw invalidArgument(
      "Preallocating more than only metadata would overwrite the external data file's content and is therefore " +
        "incompatible with 'keep_data_file=on'",
    );
  }
  if (s.preallocation !== 'off' || s.rawData) return;
  throw invalidArgument(
    "'keep_data_file=on' requires 'preallocation=metadata' or 'data_file_raw=on', or the file contents will not " +
      'be visible',
  );
}

/** The header of a new image with its refcount table in cluster 1 and nothing else yet. */
export function headerOf(s: Settings): Header {
  const incompatible =
    (s.dataFile === undefined ? 0 : Incompatible.dataFile) |
    (s.compressionType === 0 ? 0 : Incompatible.compression) |
    (s.extended ? Incompatible.extendedL2 : 0);
  return {
    version: s.version,
    clusterBits: log2(s.clusterSize),
    virtualSize: s.size,
    cryptMethod: 0,
    l1Entries: 0,
    l1Offset: 0,
    reftableOffset: s.clusterSize,
    reftableClusters: 1,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible,
    compatible: BigInt(s.lazyRefcounts ? Compatible.lazyRefcounts : 0),
    autoclear: BigInt(s.rawData ? Autoclear.rawData : 0),
    refcountOrder: log2(s.refcountBits),
    compressionType: s.compressionType,
    headerLength: 0,
    unknownFields: new Uint8Array(0),
    ...optional('backingFile', s.backingFile),
    ...optional('backingFormat', s.backingFormat),
    ...optional('dataFileName', s.dataFile),
    extensions: [],
  };
}
