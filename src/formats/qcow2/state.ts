/** State of an open qcow2 image; the rooms beside it are functions on it. */
import { andThen, isPromise, type MaybePromise, Semaphore } from '../../base/async.ts';
import { BlockError, ioError } from '../../base/error.ts';
import { Barrier } from '../../block/kit/barrier.ts';
import { MetadataCache } from '../../block/kit/cache.ts';
import type { OpenIntent } from '../../block/format.ts';
import type { Services } from '../../block/services.ts';
import type { LuksHeader } from '../../crypto/luks/header.ts';
import type { LuksVolume } from '../../crypto/luks/volume.ts';
import type { Storage } from '../../storage/storage.ts';
import { Allocator } from './clusters/allocator.ts';
import type { Bitmaps } from './bitmaps/store.ts';
import { type Geometry, geometryOf } from './structure/geometry.ts';
import { encodeHeader } from './structure/encodeHeader.ts';
import { type Header, isRawDataFile, replaceHeader } from './structure/header.ts';
import { L1Table } from './structure/l1.ts';
import { Incompatible } from './structure/layout.ts';
import { MetadataGuard } from './clusters/guard.ts';
import { Refcounts } from './clusters/refcount.ts';
import { type Behaviour, USUAL } from './openSettings.ts';
import { type ChangeListener, type ImageCipher, type ImageState, OVERLAP_CHECK } from './structure/imageState.ts';

/** What {@link Qcow2State} is made of. */
export interface ImageParts {
  readonly file: Storage;
  /** Where guest data is: the external data file, or `file`. */
  readonly data: Storage;
  readonly header: Header;
  /** Bytes of the stored header with extensions and names. */
  readonly storedHeaderLength: number;
  readonly filename: string;
  readonly readOnly: boolean;
  readonly intent: OpenIntent;
  readonly services: Services;
  /** Default: {@link USUAL}. */
  readonly behaviour?: Behaviour;
  readonly warn: (text: string) => void;
  readonly notice?: (text: string) => void;
  readonly complain?: (text: string, closing?: boolean) => void;
}

/** Places of metadata in the header that another set of metadata has taken; all lie in its first 72 bytes. */
export type StandInPlaces = Readonly<
  Partial<Pick<Header, 'l1Offset' | 'reftableOffset' | 'reftableClusters' | 'snapshotsOffset' | 'snapshotCount'>>
>;

/** One open qcow2 image. */
export class Qcow2State implements ImageState {
  readonly file: Storage;
  readonly data: Storage;
  /** What the header on the disk says; changed by {@link writeHeader} and what is built on it alone. */
  readonly header: Readonly<Header>;
  geometry: Geometry;
  readonly l1: L1Table;
  readonly l2: MetadataCache;
  refcounts: Refcounts;
  readonly allocator: Allocator;
  /** Keeps new clusters and guest data off other metadata. */
  readonly guard: MetadataGuard;
  readonly overlapKinds: Behaviour['overlapKinds'];
  readonly refcountBudget: number;
  readonly filename: string;
  readonly readOnly: boolean;
  readonly intent: OpenIntent;
  readonly services: Services;
  readonly warn: (text: string) => void;
  /** Shows an error that does not end what is being done. */
  readonly complain: (text: string, closing?: boolean) => void;
  /** Set when the image is encrypted and a key was given. */
  cipher: ImageCipher | undefined;
  /** The LUKS header inside the image. */
  luksHeader: LuksHeader | undefined;
  /** Set when that header was unlocked. */
  luksVolume: LuksVolume | undefined;
  /** Persistent bitmaps; undefined where there can be none (version 2). */
  bitmaps: Bitmaps | undefined;
  /** The header on the disk names bitmaps that do not count any more. */
  bitmapsForgotten = false;
  /** Persistent bitmaps listen here. */
  readonly changeListeners: ChangeListener[] = [];
  /** False while what is changed is not for them. */
  recording = true;
  /** Guest data may have holes that the format does not know of (preallocated metadata). */
  sparse = false;
  /** Refcount updates may wait until the image is closed; the dirty bit says so. */
  lazyRefcounts = false;
  /** Compressed clusters were written. */
  compressed = false;
  /** Freed clusters give their space back to the file. */
  discardFreed = true;
  /** Damage was found while the image was open for writing: nothing that is cached may reach the disk any more. */
  abandoned = false;
  /** Metadata that the header on the disk names instead of that in {@link header}, which is being changed meanwhile. */
  standIn: StandInPlaces | undefined;
  /** Where the file would end without what is made to stand in; undefined where there is nothing of that kind. */
  ownEnd: number | undefined;
  /** Counts changes of guest content, to know when decoded data is stale. */
  generation = 0;
  /** Where lines about damage go; each is a full line of the real tool. */
  reportDamage: (line: string) => void;
  #damageReported = false;
  #blemishReported = false;
  #storedHeaderLength: number;
  /** Of two changes of the header the second starts from what the first made of it. */
  readonly #headerTurn = new Semaphore(1);
  /** A feature bit was written that may not be on the disk, and does not count here. */
  #bitInDoubt = false;

  constructor(parts: ImageParts) {
    this.file = parts.file;
    this.data = parts.data;
    this.header = parts.header;
    this.filename = parts.filename;
    this.readOnly = parts.readOnly;
    this.intent = parts.intent;
    this.services = parts.services;
    this.warn = parts.warn;
    this.complain = (text, closing) => (parts.complain ? parts.complain(text, closing) : parts.warn(text));
    this.reportDamage = (line) => (parts.notice ?? parts.warn)(line);
    this.#storedHeaderLength = parts.storedHeaderLength;
    this.geometry = geometryOf(parts.header);
    const behaviour = parts.behaviour ?? USUAL;
    this.overlapKinds = behaviour.overlapKinds;
    this.refcountBudget = behaviour.refcountBudget;
    this.guard = new MetadataGuard(this);
    this.refcounts = new Refcounts(this);
    // The order in which changes reach the disk, said here alone: whatever is flushed flushes first what `after` names.
    // Cut off anywhere, an image has clusters that are counted and not referred to, and nothing worse. With lazy
    // refcounts the dirty bit, which is on the disk before the first change, stands for the counts.
    this.l2 = new MetadataCache({
      storage: this.file,
      tableSize: this.geometry.clusterSize,
      budget: behaviour.l2Budget,
      readOnly: this.readOnly,
      events: { load: 'l2_load', write: 'l2_update' },
      after: () => (this.lazyRefcounts ? [this.newData] : [this.refcounts, this.newData]),
      mayWrite: (offset, length) => this.guard.check(offset, length, 'active L2 table'),
    });
    this.l1 = new L1Table(
      {
        storage: this.file,
        after: () => [this.l2],
        mayWrite: (offset, length) => this.guard.check(offset, length, 'active L1 table'),
      },
      parts.header.l1Offset,
      parts.header.l1Entries,
    );
    this.allocator = new Allocator(this, () => [this.refcounts, this.l1]);
  }

  /** Contents of clusters that tables are going to refer to. */
  readonly newData: Barrier = new Barrier(async () => {
    await this.data.flush();
    if (this.data !== this.file) await this.file.flush();
  });

  /** The external data file has to stay valid as a raw image. */
  get rawData(): boolean {
    return this.geometry.external && isRawDataFile(this.header);
  }

  /** Tells the listeners that guest bytes are going to change. */
  markDirty(offset: number, length: number): MaybePromise<void> {
    this.generation++;
    if (!this.recording) return;
    return this.#tell(0, offset, length);
  }

  #tell(from: number, offset: number, length: number): MaybePromise<void> {
    for (let i = from; i < this.changeListeners.length; i++) {
      const done = this.changeListeners[i]?.(offset, length);
      if (isPromise(done)) return done.then(() => this.#tell(i + 1, offset, length));
    }
  }

  /**
   * Writes a changed header over the old one; it is not yet durable. Where that fails {@link header} stays as it was.
   * As long as something stands in, the disk goes on naming that.
   * @param change changes a copy.
   */
  async writeHeader(change: (header: Header) => void = () => undefined): Promise<void> {
    await this.#headerTurn.run(async () => {
      const changed = { ...this.header };
      change(changed);
      const bytes = encodeHeader({ ...changed, ...this.standIn });
      const padded = new Uint8Array(Math.max(bytes.length, this.#storedHeaderLength));
      padded.set(bytes);
      await this.file.write(0, padded);
      this.#storedHeaderLength = bytes.length;
      replaceHeader(this.header, changed);
    });
  }

  /**
   * Writes a changed header over the old one, durably.
   * @param change changes a copy.
   * @param written is called when the new header is in force, though perhaps not durable yet. Until this function has
   *   returned, the disk may have the old one or the new one: what either names is not to be given up.
   */
  async changeHeader(change: (header: Header) => void, written: () => void = () => undefined): Promise<void> {
    await this.writeHeader(change);
    written();
    await this.file.flush();
  }

  /** Makes the header name new structures, as {@link changeHeader}: they are counted and on the disk before. */
  async switchHeader(change: (header: Header) => void, written?: () => void): Promise<void> {
    await this.refcounts.flush();
    await this.file.flush();
    await this.changeHeader(change, written);
  }

  /** Where the image's own bytes end: places behind are none of its own. */
  get end(): number {
    return this.ownEnd ?? this.file.size();
  }

  /** Something new of the image ends at a byte of the file. */
  noteEnd(end: number): void {
    if (this.ownEnd !== undefined) this.ownEnd = Math.max(this.ownEnd, end);
  }

  /** The version changed. */
  refreshGeometry(): void {
    this.geometry = geometryOf(this.header);
  }

  /** The header names other refcount structures now. Everything was flushed. */
  refreshRefcounts(): void {
    this.refcounts = new Refcounts(this);
    this.allocator.reset();
  }

  /**
   * Sets or clears an incompatible feature bit, durably. A bit counts as set only when it is on the disk: whoever needs
   * it tries again otherwise.
   */
  async setIncompatible(bit: number, on: boolean): Promise<void> {
    const isOn = (this.header.incompatible & bit) !== 0;
    if (isOn === on && !this.#bitInDoubt) return;
    try {
      await this.changeHeader((header) => {
        header.incompatible = on ? header.incompatible | bit : header.incompatible & ~bit;
      });
      this.#bitInDoubt = false;
    } catch (error) {
      if (on && !isOn && (this.header.incompatible & bit) !== 0) {
        replaceHeader(this.header, { ...this.header, incompatible: this.header.incompatible & ~bit });
        this.#bitInDoubt = true;
      }
      throw error;
    }
  }

  /**
   * Damage was found: says so once, marks an image that is open for writing, and gives the error to throw.
   * @param what the real tool's description of the damage.
   */
  damaged(what: string): MaybePromise<BlockError> {
    const error = ioError({ filename: this.filename });
    if (this.#damageReported) return error;
    this.#damageReported = true;
    if (this.readOnly) {
      this.reportDamage(`qcow2: Image is corrupt: ${what}; further non-fatal corruption events will be suppressed`);
      return error;
    }
    this.abandoned = true;
    this.reportDamage(`qcow2: Marking image as corrupt: ${what}; further corruption events will be suppressed`);
    if (this.header.version < 3) return error;
    return this.setIncompatible(Incompatible.corrupt, true).then(() => error);
  }

  /**
   * A write would have gone over other metadata; see {@link damaged}. The error's `access` is {@link OVERLAP_CHECK}.
   * @param what what is there, in the real tool's words.
   */
  overlaps(what: string): MaybePromise<BlockError> {
    return andThen(
      this.damaged(`Preventing invalid write on metadata (overlaps with ${what})`),
      (cause) => new BlockError('io', cause.message, { context: { ...cause.context, access: OVERLAP_CHECK }, cause }),
    );
  }

  /** Damage was found that does not keep a change from being made: says so once. */
  blemished(what: string): void {
    if (this.#blemishReported || this.#damageReported) return;
    this.#blemishReported = true;
    this.reportDamage(`qcow2: Image is corrupt: ${what}; further non-fatal corruption events will be suppressed`);
  }

  /** Throws what {@link damaged} gives. */
  async failDamaged(what: string): Promise<never> {
    throw await this.damaged(what);
  }
}
