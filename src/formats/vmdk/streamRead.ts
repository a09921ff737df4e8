/** Reading compressed grains ("Virtual Disk Format 5.0", Stream-Optimized Compressed). */
import { littleEndian } from '../../base/bytes.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import { Scratch } from '../../block/kit/scratch.ts';
import type { Services } from '../../block/services.ts';
import type { DecompressPiece } from '../../codec/codec.ts';
import type { Storage } from '../../storage/storage.ts';
import { Entry, type GrainTables } from './grains.ts';
import { GRAIN_MARKER } from './header.ts';

/** Most bytes of compressed grains that are read at a time. */
const GROUP = 4194304;
/** Largest grain that is decoded; the specification's is 64 KiB. */
const MAX_GRAIN = 67108864;

/** What a streamOptimized extent needs besides its file. */
export interface StreamTools {
  readonly services: Services;
  /** Prints a line besides the error. */
  complain(text: string): void;
}

/** A compressed grain of a request. */
interface Wanted {
  /** Place of its marker, in bytes. */
  readonly place: number;
  /** Position of the grain's first byte in the request; negative if the request begins inside the grain. */
  readonly at: number;
}

/** The real tool's error for a grain that cannot be decoded. */
function damagedGrain(place: number): BlockError {
  return invalidImage('Invalid argument', { context: { offset: place, access: 'decompress' } });
}

/** Decodes the grains of one extent. */
export class GrainReader {
  readonly #storage: Storage;
  readonly #tables: GrainTables;
  readonly #tools: StreamTools;
  readonly #markers: boolean;
  /** The last grain that a request wanted a part of only. */
  #last: { readonly place: number; readonly bytes: Uint8Array } | undefined;

  /** The file ends inside a grain. */
  #cut = false;
  #complained = false;

  constructor(storage: Storage, tables: GrainTables, tools: StreamTools, markers: boolean) {
    this.#storage = storage;
    this.#tables = tables;
    this.#tools = tools;
    this.#markers = markers;
  }

  /** Fills `into` with guest bytes from `offset` on, all of which are in compressed grains. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const { grainBytes } = this.#tables.layout;
    if (grainBytes > MAX_GRAIN) throw new BlockError('limit', `Compressed grains of ${grainBytes} bytes`);
    const wanted: Wanted[] = [];
    for (let at = -(offset % grainBytes); at < into.length; at += grainBytes) {
      const found = this.#tables.entry(offset + at);
      const place = found instanceof Promise ? await found : found;
      if (place < 0) into.fill(0, Math.max(0, at), at + grainBytes);
      if (place === Entry.invalid) throw damagedGrain(place);
      if (place >= 0) wanted.push({ place, at });
    }
    for (let i = 0; i < wanted.length; ) {
      const group = groupFrom(wanted, i, 2 * grainBytes);
      await this.#readGroup(group, into);
      i += group.length;
    }
  }

  async #readGroup(group: readonly Wanted[], into: Uint8Array): Promise<void> {
    const [only] = group;
    if (group.length === 1 && only && this.#last?.place === only.place)
      return copyPart(this.#last.bytes, only.at, into);
    const scratch = new Scratch(this.#tools.services.buffers);
    this.#cut = false;
    try {
      await this.#decodeGroup(group, scratch, into);
    } catch (error) {
      // The place of an error is looked for with more reads.
      if (this.#cut && !this.#complained)
        this.#tools.complain(`'${this.#storage.name}' was cut off: it ends in its data`);
      this.#complained ||= this.#cut;
      throw error;
    } finally {
      scratch.release();
    }
  }

  async #decodeGroup(group: readonly Wanted[], scratch: Scratch, into: Uint8Array): Promise<void> {
    const { grainBytes } = this.#tables.layout;
    const inputs = await this.#readInputs(group, scratch);
    // One byte of room more than a grain has: a stream counts only if it ends there, with its checksum.
    const pieces = inputs.map((input): DecompressPiece => ({ input, output: scratch.take(grainBytes + 1) }));
    const lengths = await this.#decode(group, pieces);
    group.forEach(({ place, at }, i) => {
      const output = (pieces[i] as DecompressPiece).output;
      const length = lengths[i] ?? 0;
      // The last grain of a disk may be stored short.
      if (length > grainBytes || length < Math.min(grainBytes, into.length - at)) throw damagedGrain(place);
      const bytes = output.subarray(0, grainBytes);
      copyPart(bytes, at, into);
      if (at < 0 || at + grainBytes > into.length) this.#last = { place, bytes: bytes.slice() };
    });
  }

  async #decode(group: readonly Wanted[], pieces: readonly DecompressPiece[]): Promise<number[]> {
    try {
      const [first] = pieces;
      if (pieces.length > 1 || !first)
        return await this.#tools.services.codec.decompressBatch({ method: 'zlib' }, pieces);
      return [await this.#tools.services.codec.decompress({ method: 'zlib' }, first.input, first.output)];
    } catch (cause) {
      if (cause instanceof BlockError && cause.kind !== 'io') throw cause;
      throw invalidImage('Invalid argument', { cause, context: { offset: group[0]?.place ?? 0 } });
    }
  }

  /** The streams of a group, which is read in one piece up to the beginning of its last grain. */
  async #readInputs(group: readonly Wanted[], scratch: Scratch): Promise<Uint8Array[]> {
    const start = group[0]?.place ?? 0;
    const last = group.at(-1)?.place ?? 0;
    const bytes = scratch.take(last - start + SECTOR);
    if (last + GRAIN_MARKER > this.#storage.size()) {
      this.#cut = true;
      throw damagedGrain(last);
    }
    await this.#storage.readPadded(start, bytes);
    const inputs: Uint8Array[] = [];
    for (const { place } of group) {
      const length = this.#lengthOf(bytes, place - start, place);
      const from = place - start + (this.#markers ? GRAIN_MARKER : 0);
      if (from + length <= bytes.length) {
        inputs.push(bytes.subarray(from, from + length));
        continue;
      }
      const more = scratch.take(length);
      await this.#storage.readPadded(start + from, more);
      inputs.push(more);
    }
    return inputs;
  }

  /** Bytes of the stream whose marker is at `at` of `bytes`; never more than two grains, never beyond the file. */
  #lengthOf(bytes: Uint8Array, at: number, place: number): number {
    const most = 2 * this.#tables.layout.grainBytes;
    const available = this.#storage.size() - place - (this.#markers ? GRAIN_MARKER : 0);
    if (!this.#markers) return Math.min(most, available);
    const length = littleEndian(bytes).u32(at + 8);
    // A marker behind the end of the file has no length.
    this.#cut ||= length > available || available <= 0;
    if (length === 0 || length > most || available <= 0) throw damagedGrain(place);
    return Math.min(length, available);
  }
}

/** Copies the part of a grain that a request asks for. */
function copyPart(grain: Uint8Array, at: number, into: Uint8Array): void {
  const from = Math.max(0, -at);
  const count = Math.min(grain.length - from, into.length - (at + from));
  into.set(grain.subarray(from, from + count), at + from);
}

/** The grains from `start` on that are read with one request. @param gap largest distance of two grains. */
function groupFrom(wanted: readonly Wanted[], start: number, gap: number): Wanted[] {
  const first = wanted[start] as Wanted;
  const group: Wanted[] = [first];
  let last = first.place;
  for (let i = start + 1; i < wanted.length; i++) {
    const next = wanted[i] as Wanted;
    if (next.place <= last || next.place - last > gap || next.place - first.place > GROUP) break;
    group.push(next);
    last = next.place;
  }
  return group;
}
