/** What an image name says by itself: protocol prefixes, and names that count from the place of another image. */
import { isJsonName } from './jsonName.ts';

/** Format of what names none and looks like none: bytes as they are. */
export const PLAIN_FORMAT = 'raw';

/** Protocol of names without a prefix. */
export const PLAIN_PROTOCOL = 'file';

/** Protocol of what comes in through a pipe. */
export const PIPE_PROTOCOL = 'stdio';

/** What images are called that come in and go out through pipes. */
export const PIPE_NAME = '-';

/**
 * The protocol in front of a name, without its colon: the text before the first `:` if no `/` comes earlier.
 * `./x:y` and `/x:y` have none, `:x` has an empty one.
 */
export function protocolPrefix(name: string): string | undefined {
  const end = name.search(/[:/]/);
  return end >= 0 && name[end] === ':' ? name.slice(0, end) : undefined;
}

/** True if a protocol (or `json:`) stands in front of the name. */
function hasProtocol(name: string): boolean {
  return protocolPrefix(name) !== undefined;
}

/** The name without `protocol:` in front, if it is there. */
export function stripProtocol(name: string, protocol: string): string {
  return name.startsWith(`${protocol}:`) ? name.slice(protocol.length + 1) : name;
}

/** True for a name that counts from the place of whoever has it: no protocol, and no `/` in front. */
export function isRelative(name: string): boolean {
  return name !== '' && !name.startsWith('/') && !hasProtocol(name);
}

/** The directory of a name with its final `/`, or the bare protocol prefix, or nothing. */
export function directoryOf(name: string): string {
  const protocol = protocolPrefix(name);
  const afterProtocol = protocol === undefined ? 0 : protocol.length + 1;
  return name.slice(0, Math.max(name.lastIndexOf('/') + 1, afterProtocol));
}

/**
 * The name of a file that an image at `base` refers to as `name`: relative names count from the directory of `base`.
 * Undefined if `name` is relative and `base` is a `json:` description, which has no directory.
 */
export function relativeTo(base: string, name: string): string | undefined {
  if (!isRelative(name)) return name;
  if (isJsonName(base)) return undefined;
  return directoryOf(base) + name;
}
