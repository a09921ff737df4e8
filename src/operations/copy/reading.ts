/** Fills buffers with the bytes of a piece. */
import { allOf, isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError, isFinal } from '../../base/error.ts';
import type { Hint } from '../../base/hint.ts';
import { alignDown, MiB, SECTOR } from '../../base/offset.ts';
import { ImageNode } from '../../block/node/node.ts';
import type { Segment } from './plan.ts';

/** In what pieces the real tool reads images that it cannot look into. */
const OPAQUE_PIECE = 2 * MiB;

/**
 * An error of moving data, with the real tool's message for `convert`; its context says what failed, and where.
 * @param offset of the piece on the target.
 * @param hint for a person.
 */
export function failed(access: 'read' | 'write', thrown: unknown, offset: number, hint?: Hint): BlockError {
  const error = asBlockError(thrown);
  if (isFinal(error)) return error;
  const what = access === 'read' ? 'reading' : 'writing';
  return new BlockError(error.kind, `error while ${what} at byte ${offset}: ${error.strerror}`, {
    context: { ...error.context, access, offset },
    cause: error,
    ...(hint === undefined ? {} : { hint }),
    posix: { code: error.code, text: error.strerror },
  });
}

/**
 * Reads consecutive segments into `into`, those that are stored plainly at the same time; what has to be decoded has all
 * cores for itself already. Stays synchronous while nothing has to wait. No read is under way any more when it fails.
 * @param onFailure is told where a segment that cannot be read begins.
 */
export function readSegments(
  segments: readonly Segment[],
  into: Uint8Array,
  onFailure?: (at: number) => void,
): MaybePromise<void> {
  return readFrom(segments, into, 0, 0, onFailure);
}

function readFrom(
  segments: readonly Segment[],
  into: Uint8Array,
  first: number,
  start: number,
  onFailure?: (at: number) => void,
): MaybePromise<void> {
  const waiting: Promise<void>[] = [];
  let at = start;
  let index = first;
  try {
    for (; index < segments.length; index++) {
      const segment = segments[index] as Segment;
      if (segment.coded && waiting.length > 0) break;
      const place = at;
      const done = readSegment(segment, into.subarray(at, at + segment.length));
      at += segment.length;
      if (isPromise(done)) {
        if (onFailure) done.catch(() => onFailure(place));
        waiting.push(done);
      }
      if (segment.coded && waiting.length > 0) {
        index++;
        break;
      }
    }
  } catch (error) {
    onFailure?.(at);
    waiting.push(Promise.reject(error));
  }
  if (waiting.length === 0) return;
  const read = allOf(waiting);
  return index < segments.length ? read.then(() => readFrom(segments, into, index, at, onFailure)) : read;
}

function readSegment(segment: Segment, into: Uint8Array): MaybePromise<void> {
  if (segment.storage && segment.offset !== undefined) return segment.storage.readPadded(segment.offset, into);
  into.fill(0);
}

/** A part that cannot be read. */
interface Unreadable {
  /** Where the report says that it is, on the target. */
  readonly offset: number;
  readonly error: unknown;
}

/** The parts of segments that the real tool reads one by one, as segments of their own, with their place. */
function* partsOf(segments: readonly Segment[]): Generator<Segment & { readonly at: number }> {
  let at = 0;
  for (const segment of segments) {
    const { storage, offset: start = 0, length, filtered } = segment;
    const unit = filtered !== true && storage instanceof ImageNode ? (storage.allocationUnit ?? length) : length;
    for (let done = 0; done < length; ) {
      const part = Math.min(length - done, unit - (unit < length ? (start + done) % unit : 0));
      yield { ...segment, length: part, offset: start + done, at };
      at += part;
      done += part;
    }
  }
}

/**
 * Finds what it is in segments that cannot be read, for the report: clusters that have to be decoded count one by one,
 * plain bytes up to the next place where they are not in a row, and images that the real tool cannot look into in the
 * pieces in which it reads them.
 * @param into as long as the segments; it is overwritten.
 * @param offset of the first byte on the target.
 * @returns the first such part, and the one behind it if that cannot be read either: the real tool reads that one too,
 * before it notices. Nothing if everything can be read now.
 */
export async function firstUnreadable(
  segments: readonly Segment[],
  into: Uint8Array,
  offset: number,
): Promise<readonly Unreadable[]> {
  const found: Unreadable[] = [];
  for (const part of partsOf(segments)) {
    const { at, length, storage } = part;
    try {
      await readSegment(part, into.subarray(at, at + length));
      if (found.length > 0) break;
    } catch (error) {
      const opaque = storage instanceof ImageNode && storage.quirks.opaque;
      found.push({ offset: opaque ? alignDown(offset + at, OPAQUE_PIECE) : offset + at, error });
      if (opaque || found.length > 1) break;
    }
  }
  return found;
}

/**
 * Reads what can be read; sectors that cannot become zeroes.
 * @param offset of the first byte on the target; sectors are counted there.
 * @param report is told of every such sector.
 */
export async function salvageSegments(
  segments: readonly Segment[],
  into: Uint8Array,
  offset: number,
  report: (offset: number, error: BlockError) => void,
): Promise<void> {
  let at = 0;
  for (const segment of segments) {
    const bytes = into.subarray(at, at + segment.length);
    try {
      await readSegment(segment, bytes);
    } catch {
      await salvageSectors(segment, bytes, offset + at, report);
    }
    at += segment.length;
  }
}

async function salvageSectors(
  segment: Segment,
  into: Uint8Array,
  offset: number,
  report: (offset: number, error: BlockError) => void,
): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const end = Math.min(into.length, alignDown(offset + at, SECTOR) + SECTOR - offset);
    const sector = into.subarray(at, end);
    try {
      await readSegment({ ...segment, length: sector.length, offset: (segment.offset ?? 0) + at }, sector);
    } catch (thrown) {
      sector.fill(0);
      report(offset + at, asBlockError(thrown));
    }
    at = end;
  }
}
