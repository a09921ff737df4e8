/**
 * Internal snapshots. Every change is one write of the header, which takes effect when everything that it refers to is
 * on the disk and counted: whatever is interrupted leaves leaked clusters at worst. Where the tables are too large to be
 * changed at once (`standIn.ts`), COPIED flags may be missing as well.
 */
import type { MaybePromise } from '../../../base/async.ts';
import { equalBytes, utf8Bytes } from '../../../base/bytes.ts';
import { BlockError, invalidArgument, ioError, unsupported, withStrerror } from '../../../base/error.ts';
import { alignUp, divideUp, MAX_DISK, MAX_SIZE, SECTOR } from '../../../base/offset.ts';
import type { ImageDriver, SnapshotInfo, SnapshotStore } from '../../../block/capabilities.ts';
import { flushImage } from '../flush.ts';
import { l1EntriesFor } from '../structure/header.ts';
import type { Qcow2State } from '../state.ts';
import { MAX_L1_BYTES, MAX_SNAPSHOTS } from '../structure/layout.ts';
import { Lowering } from '../clusters/refcountRuns.ts';
import { type GoneSnapshot, removeAtOnce, shareAtOnce } from './atOnce.ts';
import { encodeSnapshot, type SnapshotEntry, snapshotNameBytes, type SnapshotTable } from './table.ts';
import { flagActive, lowerTree, raiseTree, unflagTree } from './tree.ts';
import { SnapshotView } from './view.ts';

/** Nanoseconds. */
const SECOND = 1_000_000_000n;

/** How a snapshot is chosen. */
interface Selection {
  readonly id?: string;
  readonly name?: string;
}

/** Throws if nothing may be written to a byte range of the file. */
type PlaceCheck = (offset: number, length: number) => MaybePromise<void>;

/** The snapshots of an open image. */
export class Snapshots implements SnapshotStore {
  readonly #image: Qcow2State;
  #table: SnapshotTable;

  constructor(image: Qcow2State, table: SnapshotTable) {
    this.#image = image;
    this.#table = table;
    image.guard.setSnapshots(table);
  }

  list(): readonly SnapshotInfo[] {
    // Snapshots do not hold the data of an external file: there can be none that is one.
    if (this.#image.geometry.external) return [];
    return this.#table.entries.map((entry) => this.#infoOf(entry));
  }

  #infoOf(entry: SnapshotEntry): SnapshotInfo {
    return {
      id: entry.id,
      name: entry.name,
      vmStateSize: entry.vmStateSize,
      dateSeconds: entry.dateSeconds,
      dateNanoseconds: entry.dateNanoseconds,
      vmClockSeconds: Number(entry.vmClockNanoseconds / SECOND),
      vmClockNanoseconds: Number(entry.vmClockNanoseconds % SECOND),
      ...(entry.instructionCount === -1n ? {} : { instructionCount: String(entry.instructionCount) }),
      virtualSize: this.#sizeOf(entry),
    };
  }

  #sizeOf(entry: SnapshotEntry): number {
    return entry.virtualSize ?? this.#image.header.virtualSize;
  }

  #find(select: Selection): SnapshotEntry | undefined {
    const { id, name } = select;
    return this.#table.entries.find(
      (entry) =>
        (id === undefined || sameText(entry.idBytes, id)) && (name === undefined || sameText(entry.nameBytes, name)),
    );
  }

  async create(name: string): Promise<SnapshotInfo> {
    const image = this.#image;
    this.#refuseExternal();
    if (this.#table.entries.length >= MAX_SNAPSHOTS) throw new BlockError('too-large', 'File too large');
    image.file.debugEvent?.('flush_to_os');
    await flushImage(image);
    const l1 = await image.l1.view();
    const { seconds, nanoseconds } = image.services.now();
    const entryAt = (l1Offset: number): SnapshotEntry => ({
      l1Offset,
      l1OffsetBits: BigInt(l1Offset),
      l1Entries: image.l1.entries,
      id: nextId(this.#table.entries),
      name,
      idBytes: utf8Bytes(nextId(this.#table.entries)),
      nameBytes: snapshotNameBytes(name),
      dateSeconds: seconds,
      dateNanoseconds: nanoseconds,
      vmClockNanoseconds: 0n,
      vmStateSize: 0,
      vmStateBits: 0n,
      virtualSize: image.header.virtualSize,
      virtualSizeBits: BigInt(image.header.virtualSize),
      instructionCount: 0n,
      unknownExtra: new Uint8Array(0),
      incomplete: false,
      length: 0,
    });
    const tableOf = (offset: number): { bytes: Uint8Array; count: number } => {
      const entries = [...this.#table.entries, entryAt(offset)];
      return { bytes: this.#encode(entries), count: entries.length };
    };
    let made = entryAt(0);
    const store = async (l1Offset: number): Promise<void> => {
      made = entryAt(l1Offset);
      await this.#replaceTable([...this.#table.entries, made]);
      image.file.debugEvent?.('flush_asked');
      await flushImage(image);
    };
    const atOnce = await shareAtOnce(image, tableOf, async () =>
      store(await image.allocator.place(copyOf(await image.l1.view()))),
    );
    if (!atOnce) await store(await this.#share(l1));
    return this.#infoOf(made);
  }

  /** Counts everything twice that the active L1 table leads to, and gives the place of a copy of it, which is on the disk. */
  async #share(l1: DataView): Promise<number> {
    const image = this.#image;
    let l1Offset = 0;
    try {
      await unflagTree(image, l1, (index) => image.l1.markDirty(index));
      l1Offset = await image.allocator.place(copyOf(l1));
      // The flags go first: with them missing, clusters are copied before they are changed, whatever their refcount.
      await image.l1.flush();
      await raiseTree(image, l1);
    } catch (error) {
      if (l1Offset !== 0)
        await image.allocator.giveBack(l1Offset, Math.max(1, divideUp(l1.byteLength, image.geometry.clusterSize)));
      await undoFlags(image);
      throw error;
    }
    return l1Offset;
  }

  /** Guest data in a file of its own cannot be shared. */
  #refuseExternal(): void {
    if (this.#image.geometry.external) throw unsupported('Operation not supported');
  }

  #encode(entries: readonly SnapshotEntry[]): Uint8Array {
    const pieces = entries.map((entry) => encodeSnapshot(entry, this.#image.header.virtualSize));
    const size = pieces.reduce((sum, piece) => alignUp(sum, 8) + piece.length, 0);
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at = alignUp(at + piece.length, 8);
    }
    return bytes;
  }

  /** Writes another table into new clusters and makes the header name it; the old one is given up. */
  async #replaceTable(entries: readonly SnapshotEntry[], mayWrite?: PlaceCheck): Promise<void> {
    const image = this.#image;
    const { header, geometry } = image;
    const bytes = this.#encode(entries);
    const size = bytes.length;
    // What is no longer in the table does not stand in the way of its new place.
    image.guard.setSnapshots({ entries, size: this.#table.size });
    let offset = 0;
    try {
      if (size !== 0) offset = await image.allocator.place(bytes, mayWrite);
      // Here, where it can fail and leave the table as it was.
      await image.refcounts.flush();
    } catch (error) {
      image.guard.setSnapshots(this.#table);
      throw error;
    }
    const old = { offset: header.snapshotsOffset, size: this.#table.size };
    try {
      await image.switchHeader(
        (changed) => {
          image.standIn = undefined;
          changed.snapshotsOffset = offset;
          changed.snapshotCount = entries.length;
        },
        () => {
          this.#table = { entries, size };
        },
      );
    } finally {
      image.guard.setSnapshots(this.#table);
    }
    if (old.offset !== 0)
      image.allocator.release(old.offset / geometry.clusterSize, divideUp(old.size, geometry.clusterSize));
  }

  /**
   * Stores the table again, with everything that version 3 demands.
   * @param mayWrite throws if the table may not be written to a place.
   */
  async rewrite(mayWrite?: PlaceCheck): Promise<void> {
    await this.#replaceTable(this.#table.entries, mayWrite);
    await flushImage(this.#image);
  }

  async apply(idOrName: string): Promise<void> {
    const image = this.#image;
    this.#refuseExternal();
    const entry = this.#find({ id: idOrName }) ?? this.#find({ name: idOrName });
    if (!entry) throw new BlockError('not-found', 'No such file or directory');
    const size = this.#checkSize(entry);
    await flushImage(image);
    const l1 = await this.#activeCopy(entry, size);
    await raiseTree(image, l1);
    // The table that the new one replaces: the real tool writes over it.
    await image.guard.check(image.header.l1Offset, image.header.l1Entries * 8, 'active L1 table');
    // Snapshots have no such flags, unless something else wrote them.
    await unflagTree(image, l1, () => undefined);
    const bytes = new Uint8Array(l1.buffer);
    const offset = await image.allocator.place(bytes);
    await image.l2.flush();
    await this.#switchTo(offset, bytes, size);
  }

  /** The size that the image gets when the snapshot is applied. */
  #checkSize(entry: SnapshotEntry): number {
    checkL1(this.#image, entry);
    const size = this.#sizeOf(entry);
    const { header } = this.#image;
    if (size === header.virtualSize) return size;
    if (size >= 2 ** 63) throw invalidArgument('Image size cannot be negative');
    if (size % SECTOR !== 0) throw invalidArgument('The new size must be a multiple of 512');
    if (header.version < 3) throw unsupported("Can't resize a v2 image which has snapshots");
    if (size > MAX_SIZE || l1EntriesFor(size, header) * 8 > MAX_L1_BYTES) {
      throw new BlockError('too-large', 'Failed to grow the L1 table: File too large', {});
    }
    return size;
  }

  /** The snapshot's L1 table as an active one: long enough for the size, without COPIED flags. */
  async #activeCopy(entry: SnapshotEntry, size: number): Promise<DataView> {
    const image = this.#image;
    const entries = Math.max(1, entry.l1Entries, l1EntriesFor(size, image.header));
    const bytes = new Uint8Array(entries * 8);
    await readTable(image, entry, bytes.subarray(0, entry.l1Entries * 8));
    return new DataView(bytes.buffer);
  }

  /** Makes the header name another active L1 table, and gives up what the old one leads to. */
  async #switchTo(offset: number, bytes: Uint8Array, size: number): Promise<void> {
    const image = this.#image;
    const { header } = image;
    const { clusterSize } = image.geometry;
    const before = { l1: await image.l1.view(), offset: header.l1Offset, entries: header.l1Entries };
    await image.switchHeader(
      (changed) => {
        changed.l1Offset = offset;
        changed.l1Entries = bytes.length / 8;
        changed.virtualSize = size;
      },
      () => {
        image.l1.replace(offset, bytes.length / 8, bytes);
        image.generation++;
      },
    );
    const lowering = new Lowering(image);
    await lowerTree(image, before.l1, lowering);
    await lowering.finish();
    if (before.offset !== 0) {
      image.allocator.release(before.offset / clusterSize, divideUp(before.entries * 8, clusterSize));
    }
    await flushImage(image);
  }

  async remove(select: Selection): Promise<void> {
    const image = this.#image;
    const entry = this.#find(select);
    if (!entry) throw new BlockError('not-found', 'snapshot not found');
    checkL1(image, entry);
    await flushImage(image);
    image.file.debugEvent?.('flush_to_os');
    await withStrerror('Failed to remove snapshot from snapshot list', () =>
      this.#replaceTable(this.#table.entries.filter((other) => other !== entry)),
    );
    // Whatever refers to the place of the old table refers to nothing from here on.
    await flushImage(image);
    const bytes = new Uint8Array(entry.l1Entries * 8);
    await withStrerror('Failed to free the cluster and L1 table', () => readTable(image, entry, bytes));
    const gone = { l1Offset: entry.l1Offset, l1: new DataView(bytes.buffer) };
    if (!(await removeAtOnce(image, gone))) await this.#giveUp(gone);
  }

  /** Counts down what only a snapshot that is gone referred to, and flags what is the active image's alone. */
  async #giveUp({ l1Offset, l1 }: GoneSnapshot): Promise<void> {
    const image = this.#image;
    const { clusterSize } = image.geometry;
    await withStrerror('Failed to free the cluster and L1 table', async () => {
      const lowering = new Lowering(image);
      await lowerTree(image, l1, lowering);
      await lowering.lower(l1Offset / clusterSize, divideUp(l1.byteLength, clusterSize));
      await lowering.finish();
    });
    // Not only where a cluster is shared no longer: this is where damage of the active tables shows.
    await withStrerror('Failed to update snapshot status in disk', async () => {
      await flagActive(image);
      await flushImage(image);
    });
  }

  async view(select: Selection): Promise<ImageDriver> {
    const entry = this.#find(select);
    if (!entry) throw new BlockError('not-found', "Can't find snapshot");
    checkL1(this.#image, entry);
    return new SnapshotView(this.#image, entry.l1Offset, entry.l1Entries, this.#sizeOf(entry));
  }
}

/** Gives the COPIED flags back that a failed attempt took away. */
async function undoFlags(image: Qcow2State): Promise<void> {
  try {
    await flagActive(image);
    await flushImage(image);
  } catch {
    // The failure that led here is the one to report; missing flags do no harm.
  }
}

/**
 * Refuses L1 tables that cannot be where the entry says.
 * @throws BlockError `too-large` or `invalid-argument`.
 */
export function checkL1(image: Qcow2State, entry: SnapshotEntry): void {
  if (entry.l1Entries * 8 > MAX_L1_BYTES) throw new BlockError('too-large', 'Snapshot L1 table too large');
  if (entry.l1OffsetBits >= 2n ** 63n || entry.l1OffsetBits % BigInt(image.geometry.clusterSize) !== 0n) {
    throw invalidArgument('Snapshot L1 table offset invalid');
  }
}

/** Reads a snapshot's L1 table; what lies behind the end of the file is zero. */
async function readTable(image: Qcow2State, entry: SnapshotEntry, into: Uint8Array): Promise<void> {
  if (entry.l1Offset + into.length > MAX_DISK) throw ioError();
  await image.file.readPadded(entry.l1Offset, into);
}

function copyOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/** One more than the highest id, as C reads numbers: digits after an optional sign, modulo 2^64. */
function nextId(entries: readonly SnapshotEntry[]): string {
  let highest = 0n;
  for (const { id } of entries) {
    const [, sign, digits] = /^\s*([+-]?)(\d+)/.exec(id) ?? [];
    if (digits === undefined) continue;
    const value = BigInt.asUintN(64, BigInt(digits) * (sign === '-' ? -1n : 1n));
    if (value > highest) highest = value;
  }
  return String(BigInt.asUintN(64, highest + 1n));
}

/** True if stored bytes, up to a NUL, are this text. */
function sameText(stored: Uint8Array, text: string): boolean {
  const end = stored.indexOf(0);
  return equalBytes(end < 0 ? stored : stored.subarray(0, end), utf8Bytes(text));
}
