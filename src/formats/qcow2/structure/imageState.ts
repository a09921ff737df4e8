/** What the parts of an open image (clusters, refcounts, bitmaps) may know of the image that they are parts of. */
import type { MaybePromise } from '../../../base/async.ts';
import type { BlockError } from '../../../base/error.ts';
import type { Storage } from '../../../storage/storage.ts';
import type { Geometry } from './geometry.ts';
import type { Header } from './header.ts';

/** What was being done when an error says that metadata lies over each other. */
export const OVERLAP_CHECK = 'overlap check';

/** Encryption of guest data; whole 512-byte sectors. */
export interface ImageCipher {
  /** Decodes in place. `hostOffset` is where the bytes are stored, `guestOffset` what they are. */
  decrypt(bytes: Uint8Array, hostOffset: number, guestOffset: number): MaybePromise<void>;
  /** Encodes in place. */
  encrypt(bytes: Uint8Array, hostOffset: number, guestOffset: number): MaybePromise<void>;
}

/** Called with every guest range whose content changes, before it changes; the change waits for it. */
export type ChangeListener = (offset: number, length: number) => MaybePromise<void>;

/** An open image without its parts. Each part names those that it works with besides. */
export interface ImageState {
  readonly file: Storage;
  readonly header: Readonly<Header>;
  readonly geometry: Geometry;
  /** Persistent bitmaps listen here. */
  readonly changeListeners: ChangeListener[];
  /** Refcount updates may wait until the image is closed; the dirty bit says so. */
  readonly lazyRefcounts: boolean;
  /** Freed clusters give their space back to the file. */
  readonly discardFreed: boolean;
  /** Damage was found while the image was open for writing: nothing that is cached may reach the disk any more. */
  readonly abandoned: boolean;
  /** Something new of the image ends at a byte of the file. */
  noteEnd(end: number): void;
  /**
   * Makes the header name new structures, durably: they are counted and on the disk before.
   * @param change changes a copy, which counts when it is written.
   * @param written is called then. If the call fails later, nothing is to be given up that either header names.
   */
  switchHeader(change: (header: Header) => void, written?: () => void): Promise<void>;
  /** Sets or clears an incompatible feature bit, durably. */
  setIncompatible(bit: number, on: boolean): Promise<void>;
  /** Damage was found: gives the error to throw. */
  damaged(what: string): MaybePromise<BlockError>;
  /** A write would have gone over other metadata: gives the error to throw. */
  overlaps(what: string): MaybePromise<BlockError>;
  /** Throws what {@link damaged} gives. */
  failDamaged(what: string): Promise<never>;
}
