/** Values of options that several commands have, with the real tool's messages. */
import { BlockError, invalidArgument } from '../base/error.ts';
import { type ParsedNumber, parseInteger, parseSize } from '../base/size.ts';
import type { ImageInput, SnapshotSelector } from '../operations/requests.ts';
import { CACHE_MODES } from '../operations/shorthand.ts';
import { isOptionList, parseDescription, parseImageOptions } from '../options/keyval.ts';
import type { CacheMode } from '../storage/files.ts';
import { type Given, type Session, UsageError } from './command.ts';

/** A plain mistake. */
export function mistake(message: string): BlockError {
  return invalidArgument(message);
}

/** Largest size and offset, 2^63 - 1. */
const INT64_MAX = 9223372036854775807n;
/** Largest count, 2^31 - 1. */
export const INT32_MAX: bigint = 2147483647n;

function inRange(what: string, text: string, parsed: ParsedNumber, min: bigint, max: bigint): number {
  if (parsed.kind === 'invalid') throw mistake(`Invalid ${what} specified: '${text}'`);
  if (parsed.kind === 'range' || parsed.exact < min || parsed.exact > max) {
    throw mistake(`Invalid ${what} specified. Must be between ${min} and ${max}.`);
  }
  return parsed.value;
}

/** A size with suffixes. */
export function sizeValue(what: string, text: string, min = 0n, max: bigint = INT64_MAX): number {
  return inRange(what, text, parseSize(text), min, max);
}

/**
 * The guest size of an image. What a double does not hold exactly is rounded up to whole sectors before it becomes one, as
 * most formats do anyway: it is exact up to 2^62 then, and within 512 bytes above.
 */
export function guestSizeValue(what: string, text: string): number {
  const size = parseSize(text);
  const bytes = inRange(what, text, size, 0n, INT64_MAX);
  if (size.kind !== 'ok' || Number.isSafeInteger(bytes)) return bytes;
  return Number(((size.exact + 511n) / 512n) * 512n);
}

/** A plain number, without suffixes. */
export function countValue(what: string, text: string, min: bigint, max: bigint): number {
  return inRange(what, text, parseInteger(text), min, max);
}

/** A cache mode; `what` is `cache` or `source cache`. */
export function cacheValue(text: string | undefined, what = 'cache'): CacheMode | undefined {
  if (text === undefined) return undefined;
  const mode = CACHE_MODES.find((known) => known === text);
  if (mode === undefined) throw mistake(`Invalid ${what} option: ${text}`);
  return mode;
}

/** `--output`: true for `json`. */
export function outputValue(text: string): boolean {
  if (text === 'json') return true;
  if (text === 'human') return false;
  throw new UsageError(`--output expects 'human' or 'json', not '${text}'`);
}

/** `-l` of convert and measure: `snapshot.id=..,snapshot.name=..`, or one text that is either. */
export function snapshotValue(session: Session, text: string): SnapshotSelector {
  if (!text.startsWith('snapshot.')) return { either: text };
  const select: { id?: string; name?: string } = {};
  try {
    for (const { name, value } of parseDescription(text, undefined, session.warn)) {
      if (name === 'snapshot.id') select.id = value;
      else if (name === 'snapshot.name') select.name = value;
      else throw mistake(`Invalid parameter '${name}'`);
    }
  } catch (thrown) {
    if (!(thrown instanceof BlockError)) throw thrown;
    throw invalidArgument(thrown.message, {
      hint: `qemu-img: Failed in parsing snapshot param '${text}'`,
    });
  }
  return select;
}

/** Joins several `-o` arguments; undefined if there is none. */
export class OptionLists {
  readonly #lists: string[] = [];

  add(text: string): void {
    if (!isOptionList(text)) throw mistake(`Invalid option list: ${text}`);
    this.#lists.push(text);
  }

  /** All lists as one. */
  get text(): string | undefined {
    return this.#lists.length === 0 ? undefined : this.#lists.join(',');
  }
}

/** An image that the user names, by `--image-opts` or with the option `formatId`; both together are refused. */
export function imageSource(session: Session, given: Given, filename: string, formatId = 'format'): ImageInput {
  const format = given.text(formatId);
  if (given.has('image-opts')) {
    if (format !== undefined) throw mistake('--image-opts and --format are mutually exclusive');
    const options = parseImageOptions(filename, session.warn);
    const shared = options['force-share'];
    if (given.has('force-share') && shared !== undefined && shared !== 'on') {
      throw mistake('--force-share/-U conflicts with image options');
    }
    return { options, name: filename };
  }
  return { filename, format };
}

/** The one operand of a command. */
export function oneFile({ operands }: Given): string {
  const [filename] = operands;
  if (filename === undefined || operands.length !== 1) throw new UsageError('Expecting one image file name');
  return filename;
}
