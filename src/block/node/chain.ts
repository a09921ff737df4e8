/**
 * Where guest bytes are in a chain of images: which layer decides, and whether it has data, zeroes or nothing. Used by
 * everything that walks a disk: `map`, `compare`, `convert`, `measure`, `rebase`, `commit`.
 */
import { andThen, isPromise, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Mapping } from '../mapping.ts';
import { ImageNode } from './node.ts';

/** A run of guest bytes of one nature, with the meaning of the fields of `map --output=json`. */
export interface BlockStatus {
  /** Bytes, at least 1, never more than asked for. */
  readonly length: number;
  /** Layer that decides: 0 is the top image, 1 its backing image and so on. */
  readonly depth: number;
  /** That layer. */
  readonly node: ImageNode;
  /** The layer has an entry for the run: data or zeroes of its own. */
  readonly present: boolean;
  /** Surely reads as zeroes. */
  readonly zero: boolean;
  /** Space is taken by data. A run can have `zero` too, when the storage below has a hole there. */
  readonly data: boolean;
  readonly compressed: boolean;
  /** Only the layer's driver can decode the bytes (compressed, encrypted). */
  readonly special: boolean;
  /** A filter that nobody may pass by: the bytes are to be read through it, wherever they are. */
  readonly through?: ImageNode;
  /** Where the bytes are stored, or the space that is kept for them. */
  readonly storage?: Storage;
  /** Offset of the run in `storage`. */
  readonly offset?: number;
}

/** What a layer said about a range. */
interface Known {
  readonly start: number;
  readonly end: number;
  readonly mapping: Mapping;
}

/**
 * Walks a chain of images. Each layer's last answer is remembered, so that a walk from start to end asks every layer
 * once for each of its own runs, however many layers there are. Answers stay synchronous while metadata is cached.
 */
export class ChainCursor {
  /** The images that are looked at, from the top. */
  readonly layers: readonly ImageNode[];
  readonly #known: (Known | undefined)[];
  readonly #asShown: boolean;
  /** The first layer that looks at requests; behind the last if there is none. */
  readonly #firstFilter: number;

  /**
   * @param depth number of layers to look at; those below count as not there.
   * @param asShown layers that the real tool cannot look into (`opaque`) count as data all over.
   */
  constructor(top: ImageNode, depth: number = Number.POSITIVE_INFINITY, asShown = false) {
    this.#asShown = asShown;
    const layers: ImageNode[] = [];
    for (let node: ImageNode | undefined = top; node && layers.length < depth; node = node.backing) layers.push(node);
    this.layers = layers;
    this.#known = layers.map(() => undefined);
    const filter = layers.findIndex((node) => node.watched);
    this.#firstFilter = filter < 0 ? layers.length : filter;
  }

  /** Forgets everything: some image was changed. */
  invalidate(): void {
    this.#known.fill(undefined);
  }

  /**
   * The run at `offset`, at most `length` bytes. Neighbouring runs can be of the same nature.
   * @throws what a layer's `map` throws, for instance about a damaged table.
   */
  at(offset: number, length: number): MaybePromise<BlockStatus> {
    const [top] = this.layers;
    if (!top || !(offset >= 0 && length > 0 && offset < top.size())) {
      throw new BlockError('out-of-range', `no image data at offset ${offset}`, { context: { offset, length } });
    }
    return this.#descend(0, offset, Math.min(length, top.size() - offset));
  }

  #descend(depth: number, offset: number, length: number): MaybePromise<BlockStatus> {
    let limit = length;
    for (let index = depth; ; index++) {
      const node = this.layers[index] as ImageNode;
      const known = this.#lookUp(index, node, offset, limit);
      if (isPromise(known)) return known.then(() => this.#descend(index, offset, limit));
      limit = Math.min(limit, known.end - offset);
      if (known.mapping.kind !== 'unallocated') {
        return this.#throughFilters(describe(node, index, known.mapping, offset - known.start, limit), index);
      }
      const next = this.layers[index + 1];
      if (!next || offset >= next.size()) {
        return { ...NOTHING, length: limit, depth: index, node, ...placeOf(known.mapping, offset - known.start) };
      }
      limit = Math.min(limit, next.size() - offset);
    }
  }

  #throughFilters(status: MaybePromise<BlockStatus>, depth: number): MaybePromise<BlockStatus> {
    if (this.#firstFilter > depth) return status;
    const through = this.layers[this.#firstFilter] as ImageNode;
    return andThen(status, (found) => ({ ...found, through }));
  }

  /** The layer's run that contains `offset`, from memory if possible. */
  #lookUp(index: number, node: ImageNode, offset: number, length: number): MaybePromise<Known> {
    const known = this.#known[index];
    if (known && known.start <= offset && offset < known.end) return known;
    if (this.#asShown && node.quirks.opaque) return { start: offset, end: offset + length, mapping: opaque(length) };
    return andThen(node.map(offset, length), (mapping) => {
      const found = { start: offset, end: offset + mapping.length, mapping };
      this.#known[index] = found;
      return found;
    });
  }
}

function opaque(length: number): Mapping {
  return { kind: 'special', length, compressed: false, encrypted: false };
}

const NOTHING = { present: false, zero: true, data: false, compressed: false, special: false };

/** Where the byte `shift` of a run is stored or would be. */
function placeOf(mapping: Mapping, shift: number): { readonly storage?: Storage; readonly offset?: number } {
  const { storage, offset } = mapping;
  return storage && offset !== undefined ? { storage, offset: offset + shift } : {};
}

/** The part of a layer's run from its byte `shift` on. */
function describe(
  node: ImageNode,
  depth: number,
  mapping: Exclude<Mapping, { kind: 'unallocated' }>,
  shift: number,
  length: number,
): MaybePromise<BlockStatus> {
  const status = { length, depth, node, present: true, zero: false, data: true, compressed: false, special: false };
  if (mapping.kind === 'data') {
    const { storage } = mapping;
    const offset = mapping.offset + shift;
    // What a filter puts together of several nodes has no other place than the filter.
    const ends = storage instanceof ImageNode && storage.filter?.opaque === true && !node.transparent;
    if (ends) return { ...status, storage, offset };
    if (storage instanceof ImageNode && (node.transparent || !storage.backing)) {
      const inner = describeInner(storage, status, offset, length);
      // Only what has no tables of its own is looked through for the place.
      if (node.transparent) return inner;
      return andThen(inner, (found) => (found.special || !found.present ? found : { ...found, storage, offset }));
    }
    if (!mapping.sparse) return { ...status, storage, offset };
    return andThen(storage.status(offset, length), (extent): BlockStatus => {
      const hole = extent.kind === 'hole';
      const data = !hole || !node.transparent;
      const zero = hole || extent.zeroes === true;
      const known = { ...status, length: Math.min(extent.length, length), zero, data };
      if (!extent.absent || !node.transparent) return { ...known, storage, offset };
      return hole ? known : { ...known, ...NOTHING, zero: false };
    });
  }
  const place = placeOf(mapping, shift);
  if (mapping.kind === 'zero') return { ...status, zero: true, data: false, ...place };
  return { ...status, compressed: mapping.compressed, special: true, ...place };
}

/** A layer whose bytes are the guest bytes of another image (raw over qcow2): what that image says counts. */
function describeInner(
  inner: ImageNode,
  status: BlockStatus,
  offset: number,
  length: number,
): MaybePromise<BlockStatus> {
  if (offset >= inner.size()) return { ...status, ...NOTHING };
  return andThen(inner.map(offset, length), (mapping) => {
    if (mapping.kind === 'unallocated') {
      // What a backing image has there is read through the image, which the real tool does not look into for this.
      const zero = inner.backing === undefined;
      return { ...status, ...NOTHING, zero, length: mapping.length, ...placeOf(mapping, 0) };
    }
    return describe(status.node, status.depth, mapping, 0, mapping.length);
  });
}

/** True if `next`, which follows `first` directly, continues it in every respect, also in its storage. */
function continues(first: BlockStatus, length: number, next: BlockStatus): boolean {
  return (
    first.depth === next.depth &&
    first.present === next.present &&
    first.zero === next.zero &&
    first.data === next.data &&
    first.compressed === next.compressed &&
    first.special === next.special &&
    first.storage === next.storage &&
    (first.offset === undefined ? next.offset === undefined : first.offset + length === next.offset)
  );
}

/**
 * The longest run of one nature at `offset`, at most `length` bytes.
 * @param cursor of the same image; give the same one to all calls of a walk.
 */
export function blockStatus(
  node: ImageNode,
  offset: number,
  length: number,
  cursor: ChainCursor = new ChainCursor(node),
): MaybePromise<BlockStatus> {
  const end = Math.min(offset + length, node.size());
  const extend = (first: BlockStatus, sofar: number): MaybePromise<BlockStatus> => {
    let known = sofar;
    while (offset + known < end) {
      const next = cursor.at(offset + known, end - offset - known);
      if (isPromise(next)) {
        const here = known;
        return next.then((more) =>
          continues(first, here, more) ? extend(first, here + more.length) : cut(first, here),
        );
      }
      if (!continues(first, known, next)) break;
      known += next.length;
    }
    return cut(first, known);
  };
  return andThen(cursor.at(offset, length), (first) => extend(first, first.length));
}

function cut(status: BlockStatus, length: number): BlockStatus {
  return length === status.length ? status : { ...status, length };
}

/** All runs of a range in order, merged, as `map` shows them: opaque formats count as data all over. */
export async function* walkChain(
  node: ImageNode,
  start = 0,
  end: number = node.size(),
): AsyncGenerator<BlockStatus & { readonly start: number }, void, undefined> {
  const cursor = new ChainCursor(node, Number.POSITIVE_INFINITY, true);
  for (let at = start; at < Math.min(end, node.size()); ) {
    const status = await blockStatus(node, at, end - at, cursor);
    yield { ...status, start: at };
    at += status.length;
  }
}
