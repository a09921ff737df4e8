/** What the short forms in requests stand for, and the checks of what a request says: users of the library need no compiler. */
import { invalidArgument } from '../base/error.ts';
import { parseSize } from '../base/size.ts';
import type { OptionPair } from '../options/keyval.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode } from '../storage/files.ts';
import type { FormatOptions, ImageInput, NamedImage, SizeInput } from './requests.ts';

/** Requests of `bench` at a time when it is not said how many. */
export const BENCH_DEPTH = 64;

/** Largest count and buffer size that the program takes, 2^31 - 1. */
export const MAX_COUNT = 2147483647;

/** What the largest size and offset of the program, 2^63 - 1, is as a double. */
const MAX_OFFSET = 2 ** 63;

/** All cache modes. */
export const CACHE_MODES: readonly CacheMode[] = ['none', 'off', 'writeback', 'unsafe', 'directsync', 'writethrough'];

/**
 * A number of a request.
 * @param most default: the largest offset.
 * @throws BlockError `invalid-argument` if it is not whole, or out of bounds.
 */
export function wholeNumber(name: string, value: number, least: number, most: number = MAX_OFFSET): number {
  if (isWhole(value, least, most)) return value;
  throw invalidArgument(
    `Invalid ${name} '${String(value)}': a whole number from ${least} to ${BigInt(most)} is needed`,
  );
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/**
 * A word of a request, or that it is absent.
 * @throws BlockError `invalid-argument` if there is no such word.
 */
export function oneOf<T extends string | undefined>(name: string, value: T, words: readonly NonNullable<T>[]): T {
  if (value === undefined || words.some((word) => word === value)) return value;
  throw invalidArgument(`Invalid ${name} '${value}': one of ${words.join(', ')} is needed`);
}

/** True if `image` is what the type says. */
export function isImage(image: unknown): image is ImageInput {
  if (typeof image === 'string') return true;
  if (typeof image !== 'object' || image === null) return false;
  if ('filename' in image) return isNamed(image);
  return 'options' in image && typeof image.options === 'object' && image.options !== null;
}

/** True if `image` is an object with a file name. */
export function isNamed(image: unknown): image is NamedImage {
  if (typeof image !== 'object' || image === null || !('filename' in image)) return false;
  const format = 'format' in image ? image.format : undefined;
  return typeof image.filename === 'string' && (format === undefined || typeof format === 'string');
}

/**
 * An image of a request.
 * @param what the field, for messages.
 * @throws BlockError `invalid-argument` if it is not an image at all.
 */
export function imageInput(image: ImageInput, what = 'image'): ImageInput {
  if (isImage(image)) return image;
  throw invalidArgument(`${what}: a name, {filename, format?} or {options} is needed`);
}

/** What messages call an image. */
export function imageName(image: ImageInput): string {
  imageInput(image);
  if (typeof image === 'string') return image;
  return 'filename' in image ? image.filename : (image.name ?? 'image');
}

/** The driver that the user names with the image; undefined where it is to be found out, or is in the options. */
export function imageFormat(image: ImageInput): string | undefined {
  imageInput(image);
  return typeof image === 'object' && 'filename' in image ? image.format : undefined;
}

/** The options that describe an image; undefined if a name does. */
export function imageOptions(image: ImageInput): OptionTree | undefined {
  imageInput(image);
  return typeof image === 'string' || 'filename' in image ? undefined : image.options;
}

/** Bytes of a size. */
export function bytesOf(size: SizeInput): number {
  if (typeof size === 'number' && isWhole(size, 0, MAX_OFFSET)) return size;
  const parsed = typeof size === 'string' ? parseSize(size) : undefined;
  if (parsed?.kind === 'ok') return parsed.value;
  throw invalidArgument(`Invalid size '${String(size)}'`);
}

/** Options of a format as the text that a user would have written for them. */
export function optionPairs(options: FormatOptions = {}): readonly OptionPair[] {
  if (isList(options)) return options;
  return Object.entries(options).map(([name, value]) => ({
    name,
    value: typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value),
  }));
}

function isList(options: FormatOptions): options is readonly OptionPair[] {
  return Array.isArray(options);
}
