/** What is copied: one or more images, one behind the other, as runs of data, zeroes and "the backing image has it". */
import { andThen, type MaybePromise, orElse } from '../../base/async.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import { type BlockStatus, ChainCursor } from '../../block/node/chain.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { Storage } from '../../storage/storage.ts';
import { strideEnd, wholeUnitsOf } from './strides.ts';

/** A run of the source. */
export interface SourceRun {
  /** Bytes, at least 1. */
  readonly length: number;
  /** `below`: the layers that are copied have nothing here, the image below them decides. */
  readonly kind: 'data' | 'zero' | 'below';
  /** The image below is known to have zeroes there. */
  readonly zero?: boolean;
  /** The status could not be found out. */
  readonly bad?: boolean;
  /** What the chain says about the run; absent for padding. */
  readonly status?: BlockStatus;
  /** Where to read the bytes; absent for zeroes. */
  readonly storage?: Storage;
  readonly offset?: number;
}

/** Something that can be copied. */
export interface RunSource {
  /** Bytes in all. */
  readonly size: number;
  /** The run at `offset`, at most `length` bytes. Quickest when offsets only grow. */
  at(offset: number, length: number): MaybePromise<SourceRun>;
}

/** How a source is looked at. */
export interface SourceOptions {
  /**
   * Runs that are decided below so many layers are reported as `below` rather than as data, because the target's
   * backing image has them. Absent: the whole chain counts.
   */
  readonly layers?: number;
  /** Images that the real tool cannot look into count as data all over. */
  readonly asShown?: boolean;
  /** Runs end where the real tool's look at them ends. */
  readonly strides?: boolean;
  /** Runs do not end inside an allocation unit in which they do not begin: it is a run of its own. */
  readonly wholeUnits?: boolean;
  /**
   * Called when the status of a sector cannot be found out; the sector then counts as data. Absent: such an error ends
   * the copy.
   */
  onBadStatus?(offset: number, error: BlockError): void;
}

/** One image of the source and where it starts. */
interface Part {
  readonly start: number;
  /** Guest size in bytes. */
  readonly size: number;
  readonly node: ImageNode;
  readonly cursor: ChainCursor;
}

/** Images one behind the other. Each is padded with zeroes to a whole number of sectors. */
export class CopySource implements RunSource {
  readonly size: number;
  readonly #parts: readonly Part[];
  readonly #options: SourceOptions;
  #current = 0;

  constructor(nodes: readonly ImageNode[], options: SourceOptions = {}) {
    let start = 0;
    this.#parts = nodes.map((node) => {
      const part = {
        start,
        size: node.size(),
        node,
        cursor: new ChainCursor(node, Number.POSITIVE_INFINITY, options.asShown),
      };
      start += alignUp(part.size, SECTOR);
      return part;
    });
    this.size = start;
    this.#options = options;
  }

  at(offset: number, length: number): MaybePromise<SourceRun> {
    const part = this.#partAt(offset);
    const inside = offset - part.start;
    const limit = Math.min(length, this.size - offset);
    if (inside >= part.size) return { length: Math.min(limit, alignUp(part.size, SECTOR) - inside), kind: 'zero' };
    const available = Math.min(limit, part.size - inside);
    const lookUp = (most: number) => andThen(part.cursor.at(inside, most), (found) => this.#runOf(found, inside, part));
    return orElse(
      () => lookUp(available),
      (thrown) => {
        const error = asBlockError(thrown);
        if (!this.#options.onBadStatus)
          throw error.reworded(`error while reading block status at offset ${offset}: ${error.strerror}`);
        // What cannot be said of a long range can perhaps be said of its first sector.
        const sector = Math.min(SECTOR, available);
        return orElse(
          () => lookUp(sector),
          (again) => {
            this.#options.onBadStatus?.(offset, asBlockError(again));
            return { length: sector, kind: 'data', bad: true, storage: part.node, offset: inside };
          },
        );
      },
    );
  }

  #partAt(offset: number): Part {
    const { length } = this.#parts;
    for (let step = 0; step < length; step++) {
      const index = (this.#current + step) % length;
      const part = this.#parts[index] as Part;
      if (offset < part.start || offset >= part.start + alignUp(part.size, SECTOR)) continue;
      this.#current = index;
      return part;
    }
    throw new BlockError('out-of-range', `no source data at offset ${offset}`, { context: { offset } });
  }

  #runOf(status: BlockStatus, offset: number, part: Part): SourceRun {
    const { layers } = part.cursor;
    const { strides, wholeUnits } = this.#options;
    const seen = strides ? strideEnd(layers, status, offset) - offset : Number.POSITIVE_INFINITY;
    const whole = wholeUnits ? wholeUnitsOf(part.node, offset, status.length) : Number.POSITIVE_INFINITY;
    const length = Math.min(status.length, seen, whole);
    if (status.depth >= (this.#options.layers ?? Number.POSITIVE_INFINITY)) {
      return { length, kind: 'below', zero: status.zero, status, storage: status.node, offset };
    }
    if (status.zero) return { length, kind: 'zero', status };
    // A layer that looks at the image below it before it trusts that one's bytes has to be asked.
    if (status.depth > 0 && layers.slice(0, status.depth).some((layer) => layer.admitsBacking)) {
      return { length, kind: 'data', status, storage: part.node, offset };
    }
    if (status.through) return { length, kind: 'data', status, storage: status.through, offset };
    if (status.special || !status.storage || status.offset === undefined) {
      return { length, kind: 'data', status, storage: status.node, offset };
    }
    return { length, kind: 'data', status, storage: status.storage, offset: status.offset };
  }
}

/** Bytes of one image as plain data, whatever they are. */
export class WindowSource implements RunSource {
  readonly size: number;
  readonly #node: ImageNode;
  readonly #start: number;

  /** @param start first byte of `node`, `size` how many. */
  constructor(node: ImageNode, start: number, size: number) {
    this.#node = node;
    this.#start = start;
    this.size = size;
  }

  at(offset: number, length: number): SourceRun {
    const limit = Math.min(length, this.size - offset);
    return { length: limit, kind: 'data', storage: this.#node, offset: this.#start + offset };
  }
}
