/** Looking at an image of somebody else without trusting it: the rules, and what formats know about themselves. */
import type { Storage } from '../storage/storage.ts';
import type { ResourceLimits } from './limits.ts';

/** What is looked at, in the order in which it is reported. */
export const INSPECT_RULES = [
  /** The content is an image of a known format that can be opened, and of the format that was expected. */
  'format',
  /** Nothing else is in the file: no second format, no partition table or file system beside a format. */
  'polyglot',
  /** A raw disk's partition table says what it seems to say. */
  'partitions',
  /** No image lies below. */
  'backing-file',
  /** Guest data is in the file itself. */
  'data-file',
  /** No other files belong to the image. */
  'extents',
  /** Stored names are plain: no `json:`, no protocol, no directories, no control characters. */
  'names',
  /** No version, feature or kind that is not known. */
  'features',
  /** The image was closed properly, and is not marked as damaged. */
  'state',
  /** What is encrypted is so by a method and at a cost that can be borne. */
  'encryption',
  /** Sizes and counts are plausible. */
  'sizes',
  /** Tables lie in the file, and nothing lies in two places or where something else is. */
  'metadata',
  /** Compressed data does not expand beyond what it can. */
  'expansion',
  /** Nothing follows behind the end of the image. */
  'trailing-data',
] as const;

/** One of {@link INSPECT_RULES}. */
export type InspectRule = (typeof INSPECT_RULES)[number];

/** Receives what is found. */
export interface Inspection {
  /** What an image may cost. */
  readonly limits: ResourceLimits;
  /** The rule is broken. */
  fail(rule: InspectRule, why: string): void;
  /** It cannot be told whether the rule holds. */
  unknown(rule: InspectRule, why: string): void;
  /** The rule holds; something about it is worth saying. */
  note(rule: InspectRule, what: string): void;
  /** The image names something that a program would open for it. That is told here; whether it is allowed, by `fail`. */
  name(role: string, name: string): void;
}

/**
 * What a format alone knows about an image, beyond what opening it tells. It reads little: headers, and tables of names.
 * @throws BlockError if the header cannot be read at all.
 */
export type FormatInspector = (file: Storage, inspection: Inspection) => Promise<void>;
