/** An open image: its extents one behind the other, and its descriptor. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError, invalidImage } from '../../base/error.ts';
import { isPowerOfTwo, SECTOR } from '../../base/offset.ts';
import { byteTextBytes } from '../../base/text.ts';
import type {
  Backing,
  BackingReference,
  Checker,
  Compressor,
  FormatInfo,
  ImageDriver,
  Quirks,
  Writing,
} from '../../block/capabilities.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import type { Services } from '../../block/services.ts';
import type { Storage } from '../../storage/storage.ts';
import { checkImage } from './check.ts';
import { contentId, type DescriptorText, NO_CID, parentContentId, parentName, withContentId } from './descriptor.ts';
import type { Extent } from './extent.ts';
import { infoOf } from './info.ts';
import { StreamExtent } from './stream.ts';

/** What {@link VmdkImage} is made of. */
export interface ImageParts {
  readonly file: Storage;
  readonly extents: readonly Extent[];
  readonly descriptor: DescriptorText;
  /** Bytes between the start of `file` and the descriptor; undefined: the file is the descriptor. */
  readonly descriptorOffset: number | undefined;
  readonly createType: string;
  readonly readOnly: boolean;
  readonly services: Services;
  /** Prints a line besides an error. */
  readonly complain: (text: string) => void;
  /** Extents that are files of their own, by child name. */
  readonly children: readonly { readonly role: string; readonly node: Storage }[];
}

/** One open VMDK image. */
export class VmdkImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly backing: Backing;
  readonly virtualSize: number;
  readonly allocationUnit: number;
  readonly quirks: Quirks;
  readonly limits: ImageDriver['limits'] & object;
  readonly extents: readonly Extent[];
  readonly createType: string;
  readonly children: ImageParts['children'];
  readonly parentContentId: number;
  readonly compressor?: Compressor;
  readonly checker: Checker;
  readonly beyondEnd: ImageDriver['beyondEnd'];
  readonly writeZeroes?: (offset: number, length: number) => Promise<void>;
  readonly #file: Storage;
  readonly #descriptorOffset: number | undefined;
  readonly #services: Services;
  readonly #readOnly: boolean;
  readonly #complain: (text: string) => void;
  /** First guest byte of each extent. */
  readonly #starts: readonly number[];
  #descriptor: DescriptorText;
  /** The content id was changed, as the first write asks for. */
  #changed = false;

  constructor(parts: ImageParts) {
    this.#file = parts.file;
    this.extents = parts.extents;
    this.createType = parts.createType;
    this.children = parts.children;
    this.parentContentId = parentContentId(parts.descriptor);
    this.#descriptor = parts.descriptor;
    this.#descriptorOffset = parts.descriptorOffset;
    this.#services = parts.services;
    this.#readOnly = parts.readOnly;
    this.#complain = parts.complain;
    const starts: number[] = [];
    let size = 0;
    for (const { bytes } of parts.extents) {
      starts.push(size);
      size += bytes;
    }
    this.#starts = starts;
    this.virtualSize = size;
    this.allocationUnit = this.#commonUnit();
    const grain = Math.max(0, ...parts.extents.map((extent) => extent.grainBytes));
    this.quirks = { strideUnit: grain > 0 ? grain : undefined };
    this.limits = { requestAlignment: 1, ...(grain > 0 ? { writeZeroesAlignment: grain } : {}) };
    // What flat extents lack reads as zeroes without a word, as in the real tool.
    const flat = parts.extents.some(({ grainBytes, storage }) => grainBytes === 0 && storage);
    this.beyondEnd = flat ? undefined : { data: 'told' };
    const parent = (): BackingReference | undefined => this.#parent();
    this.backing = {
      get reference() {
        return parent();
      },
      admit: (backing) => this.#admit(backing),
    };
    this.checker = { deepOnly: false, repairs: false, check: (_, report, deep) => checkImage(this, report, deep) };
    const compressor = this.#compressorOf();
    if (compressor) this.compressor = compressor;
    if (this.extents.length > 0 && this.extents.every((extent) => extent.writeZeroes && extent.zeroedGrains)) {
      this.writeZeroes = (offset, length) => this.#writeZeroes(offset, length);
    }
  }

  /** The largest grain, where every extent begins at a multiple of it; else the whole image counts as one unit. */
  #commonUnit(): number {
    const unit = Math.max(SECTOR, ...this.extents.map((extent) => extent.grainBytes));
    const fits = this.extents.every(
      ({ grainBytes }, i) => (grainBytes === 0 || isPowerOfTwo(grainBytes)) && (this.#starts[i] ?? 0) % unit === 0,
    );
    if (fits) return unit;
    return 2 ** Math.ceil(Math.log2(Math.max(unit, this.virtualSize)));
  }

  /** The content id now. */
  get contentId(): number {
    return contentId(this.#descriptor);
  }

  #parent(): BackingReference | undefined {
    const file = parentName(this.#descriptor);
    return file === undefined ? undefined : { file, format: 'vmdk' };
  }

  /** The backing image must have the content that this image was made for. */
  #admit(backing: ImageDriver): void {
    if (this.parentContentId === NO_CID) return;
    if (backing instanceof VmdkImage && backing.contentId === this.parentContentId) return;
    throw invalidImage('The backing image was changed: its content id is not the expected one', {
      context: { access: 'read' },
    });
  }

  #indexAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The extent that holds a guest byte, and where it begins. */
  #at(offset: number): { readonly extent: Extent; readonly start: number } {
    const index = this.#indexAt(offset);
    return { extent: this.extents[index] as Extent, start: this.#starts[index] as number };
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    const { extent, start } = this.#at(offset);
    const inside = offset - start;
    return extent.map(inside, Math.min(length, extent.bytes - inside));
  }

  async readSpecial(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const { extent, start } = this.#at(offset + at);
      const inside = offset + at - start;
      const length = Math.min(into.length - at, extent.bytes - inside);
      if (!extent.readSpecial) throw new BlockError('internal', 'vmdk: nothing to decode');
      await extent.readSpecial(inside, into.subarray(at, at + length));
      at += length;
    }
  }

  allocate(offset: number, length: number): MaybePromise<Allocation> {
    const { extent, start } = this.#at(offset);
    const inside = offset - start;
    if (!extent.allocate || extent.storage?.readOnly === true) throw this.#unwritable(extent);
    const room = (): MaybePromise<Allocation> =>
      andThen(
        extent.allocate?.(inside, Math.min(length, extent.bytes - inside)) as MaybePromise<Allocation>,
        (found) => ({
          ...found,
          start: found.start + start,
        }),
      );
    return this.#changed ? room() : this.#beginWriting().then(room);
  }

  /** The error for an extent that is not `RW`, or has no place for data. */
  #unwritable({ type }: Extent): BlockError {
    const problem = `The descriptor does not allow writing to this extent (${type === 'ZERO' ? type : 'RDONLY'})`;
    this.#complain(problem);
    return new BlockError('read-only', problem);
  }

  async #writeZeroes(offset: number, length: number): Promise<void> {
    await this.#beginWriting();
    for (let at = offset; at < offset + length; ) {
      const { extent, start } = this.#at(at);
      const count = Math.min(offset + length, start + extent.bytes) - at;
      if (extent.storage?.readOnly === true) throw this.#unwritable(extent);
      await extent.writeZeroes?.(at - start, count);
      at += count;
    }
  }

  /** The first change gives the image another content id: images that it is the backing image of notice. */
  async #beginWriting(): Promise<void> {
    if (this.#changed) return;
    const random = new Uint8Array(4);
    this.#services.random(random);
    const id = new DataView(random.buffer).getUint32(0) % 0xfffffffe;
    const before = this.#descriptor.length;
    const text = withContentId(this.#descriptor, id);
    const bytes = byteTextBytes(text);
    if (this.#descriptorOffset === undefined) {
      await this.#file.write(0, bytes);
      if (bytes.length < before) await this.#file.truncate(bytes.length);
    } else {
      const padded = new Uint8Array(Math.max(before, bytes.length));
      padded.set(bytes);
      await this.#file.write(this.#descriptorOffset, padded);
    }
    this.#descriptor = text;
    this.#changed = true;
  }

  /** Compressed writing, where every extent has compressed grains of one size. Plain sparse images store plain data. */
  #compressorOf(): Compressor | undefined {
    const [first] = this.extents;
    if (!first || first.grainBytes !== this.allocationUnit) return undefined;
    if (
      this.extents.some(
        ({ grainBytes, compressed }) => grainBytes !== first.grainBytes || compressed !== first.compressed,
      )
    )
      return undefined;
    const unit = first.grainBytes;
    if (!(first instanceof StreamExtent)) {
      const nothing = async (_: number, bytes: Uint8Array): Promise<undefined[]> =>
        Array.from({ length: Math.ceil(bytes.length / unit) }, () => undefined);
      return { unit, encode: nothing, store: () => {} };
    }
    return {
      unit,
      sequential: true,
      encode: (_, bytes, mayOverwrite) => first.encode(bytes, mayOverwrite),
      store: async (offset, coded) => {
        await this.#beginWriting();
        const { extent, start } = this.#at(offset);
        await (extent as StreamExtent).store(offset - start, coded);
      },
    };
  }

  async flush(): Promise<void> {
    if (this.#readOnly) return;
    for (const extent of this.extents) await extent.flush();
    await this.#file.flush();
  }

  async close(): Promise<void> {
    let failure: unknown;
    try {
      if (!this.#readOnly) {
        await this.flush();
        for (const extent of this.extents) await extent.finish?.();
      }
    } catch (error) {
      failure = error;
    }
    for (const { node } of this.children) await node.close();
    if (failure !== undefined) throw asBlockError(failure);
  }

  info(): FormatInfo {
    return infoOf(this);
  }
}
