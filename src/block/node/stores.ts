/** Snapshots and bitmaps of a node: the driver's stores, each change in its turn. */
import type { MaybePromise } from '../../base/async.ts';
import type { BitmapStore, ImageDriver, SnapshotInfo, SnapshotStore } from '../capabilities.ts';
import type { ImageWriter } from './writer.ts';

/** Internal snapshots of an opened image; `N` is what shows the content of one. */
export interface NodeSnapshots<N> extends Omit<SnapshotStore, 'view'> {
  /** The snapshot's content, to read from while the image is open. */
  view(select: Parameters<SnapshotStore['view']>[0]): Promise<N>;
}

/** A driver's snapshots as a node offers them. Making, applying or removing one moves guest bytes: nothing runs beside it. */
export class LockedSnapshots<N> implements NodeSnapshots<N> {
  readonly #store: SnapshotStore;
  readonly #writer: ImageWriter;
  readonly #nodeOf: (driver: ImageDriver) => N;

  constructor(store: SnapshotStore, writer: ImageWriter, nodeOf: (driver: ImageDriver) => N) {
    this.#store = store;
    this.#writer = writer;
    this.#nodeOf = nodeOf;
  }

  list(): MaybePromise<readonly SnapshotInfo[]> {
    return this.#writer.change(() => this.#store.list());
  }

  async create(name: string): Promise<SnapshotInfo> {
    return this.#writer.alone(() => this.#store.create(name));
  }

  async apply(idOrName: string): Promise<void> {
    await this.#writer.alone(() => this.#store.apply(idOrName));
  }

  async remove(select: Parameters<SnapshotStore['remove']>[0]): Promise<void> {
    await this.#writer.alone(() => this.#store.remove(select));
  }

  async view(select: Parameters<SnapshotStore['view']>[0]): Promise<N> {
    return this.#nodeOf(await this.#writer.change(() => this.#store.view(select)));
  }
}

/** A driver's bitmaps as a node offers them. */
export class LockedBitmaps implements BitmapStore {
  readonly #store: BitmapStore;
  readonly #writer: ImageWriter;

  constructor(store: BitmapStore, writer: ImageWriter) {
    this.#store = store;
    this.#writer = writer;
  }

  list(): ReturnType<BitmapStore['list']> {
    return this.#writer.change(() => this.#store.list());
  }

  async add(name: string, granularity: number | undefined, enabled: boolean): Promise<void> {
    await this.#writer.change(() => this.#store.add(name, granularity, enabled));
  }

  async remove(name: string): Promise<void> {
    await this.#writer.change(() => this.#store.remove(name));
  }

  async clear(name: string): Promise<void> {
    await this.#writer.change(() => this.#store.clear(name));
  }

  async setEnabled(name: string, enabled: boolean): Promise<void> {
    await this.#writer.change(() => this.#store.setEnabled(name, enabled));
  }

  /** Not in turn, so that they can be marked in a bitmap of the same image; nothing else may change them meanwhile. */
  ranges(name: string): ReturnType<BitmapStore['ranges']> {
    return this.#store.ranges(name);
  }

  async mark(name: string, ranges: Parameters<BitmapStore['mark']>[1]): Promise<void> {
    await this.#writer.change(() => this.#store.mark(name, ranges));
  }

  async save(): Promise<void> {
    await this.#writer.change(() => this.#store.save());
  }
}
