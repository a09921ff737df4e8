/** What the short forms in requests stand for. */
import { invalidArgument } from '../base/error.ts';
import { parseSize } from '../base/size.ts';
import type { OptionPair } from '../options/keyval.ts';
import type { OptionTree } from '../options/tree.ts';
import type { FormatOptions, ImageInput, SizeInput } from './requests.ts';

/** Requests of `bench` at a time when it is not said how many. */
export const BENCH_DEPTH = 64;

/** What messages call an image. */
export function imageName(image: ImageInput): string {
  if (typeof image === 'string') return image;
  return 'filename' in image ? image.filename : (image.name ?? 'image');
}

/** The driver that the user names with the image; undefined where it is to be found out, or is in the options. */
export function imageFormat(image: ImageInput): string | undefined {
  return typeof image === 'object' && 'filename' in image ? image.format : undefined;
}

/** The options that describe an image; undefined if a name does. */
export function imageOptions(image: ImageInput): OptionTree | undefined {
  return typeof image === 'string' || 'filename' in image ? undefined : image.options;
}

/** Bytes of a size. */
export function bytesOf(size: SizeInput): number {
  if (typeof size === 'number') return size;
  const parsed = parseSize(size);
  if (parsed.kind === 'ok') return parsed.value;
  throw invalidArgument(`Invalid size '${size}'`);
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
