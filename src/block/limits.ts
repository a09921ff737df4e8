/**
 * Bounds on what one image may cost, whatever it says of itself. They are part of the services (`Services.limits`): whoever
 * makes those decides. What the real program bounds itself (the longest backing name, the largest L1 table, ...) is a
 * constant of its format; these are the bounds that are ours.
 */

/** How much of everything an image may ask for. `Infinity`: as much as it likes. */
export interface ResourceLimits {
  /** Images of one backing chain. */
  readonly chainDepth: number;
  /** Files that one image consists of. */
  readonly extents: number;
  /** Bytes of tables that are read only because the image has them: those of bitmaps when it is opened. */
  readonly tableBytes: number;
  /** Bytes of tables of snapshots that a check looks at. */
  readonly snapshotTableBytes: number;
  /** Iterations of key derivation in one opening: a billion takes minutes. */
  readonly keyIterations: number;
  /** Zeroes that are hashed to check a sum over a disk. */
  readonly summedZeroes: number;
  /** Lines of the report of a check; what would follow is only counted. */
  readonly reportLines: number;
  /** Bytes that one operation may get out of compressed data. */
  readonly decompressedBytes: number;
  /** Bytes that temporary files hold at a time (`Services.spool`). */
  readonly spoolBytes: number;
  /** Seconds that may be spent on looking at an image (check, info, map, measure, lists of snapshots). */
  readonly seconds: number;
  /**
   * What an image has that is not known is an error, also where its format says that it may be passed over; and nothing is
   * written to an image whose format was found out by looking at it.
   */
  readonly strict: boolean;
}

/** The limits of images that are one's own: nothing that makes sense meets them. */
export const DEFAULT_LIMITS: ResourceLimits = {
  chainDepth: 200,
  extents: 65536,
  tableBytes: 134217728,
  snapshotTableBytes: 1073741824,
  keyIterations: 1e9,
  summedZeroes: 4294967296,
  reportLines: 100000,
  decompressedBytes: Number.POSITIVE_INFINITY,
  spoolBytes: 68719476736,
  seconds: Number.POSITIVE_INFINITY,
  strict: false,
};

/** The limits of images that came from somebody else (`--untrusted`). */
export const UNTRUSTED_LIMITS: ResourceLimits = {
  chainDepth: 1,
  extents: 1,
  tableBytes: 16777216,
  snapshotTableBytes: 134217728,
  keyIterations: 2e7,
  summedZeroes: 268435456,
  reportLines: 1000,
  decompressedBytes: 1099511627776,
  spoolBytes: 17179869184,
  seconds: 10,
  strict: true,
};
