/** A disk whose data area is made of the host's files while it is read. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { FileHandle, FilePort } from '../../storage/files.ts';
import type { Limits, StorageDriver } from '../../storage/storage.ts';
import type { Geometry } from './geometry.ts';
import type { Run } from './tree.ts';

/** Files that are kept open. */
const OPEN_FILES = 8;

/** A piece of the disk that is not zero. */
interface Piece {
  readonly start: number;
  readonly length: number;
  readonly content: Uint8Array | string;
}

/** A file that is kept open. */
interface OpenFile {
  readonly handle: Promise<FileHandle>;
  /** Requests that are reading it: until they are done it stays open. */
  users: number;
}

/** A read-only disk with a FAT file system. */
export class FatDisk implements StorageDriver {
  readonly limits: Limits = { requestAlignment: 1 };
  readonly #size: number;
  readonly #files: FilePort;
  /** In the order of the disk. */
  readonly #pieces: readonly Piece[];
  /** In order of use, the least recently used first. */
  readonly #open = new Map<string, OpenFile>();

  /** @param head everything in front of the root directory. */
  constructor(geometry: Geometry, head: Uint8Array, runs: readonly Run[], files: FilePort) {
    this.#size = geometry.total * SECTOR;
    this.#files = files;
    const place = (cluster: number): number =>
      (cluster === 0 ? geometry.root : geometry.data + (cluster - 2) * geometry.cluster) * SECTOR;
    const stored = runs.filter(({ length }) => length > 0);
    this.#pieces = [
      { start: 0, length: head.length, content: head },
      ...stored.map(({ cluster, length, content }) => ({ start: place(cluster), length, content })),
    ];
  }

  size(): number {
    return this.#size;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.fill(0);
    const end = offset + into.length;
    for (let index = this.#firstAt(offset); index < this.#pieces.length; index++) {
      const piece = this.#pieces[index];
      if (!piece || piece.start >= end) return;
      const from = Math.max(offset, piece.start);
      const to = Math.min(end, piece.start + piece.length);
      if (from < to) await this.#readPiece(piece, from - piece.start, into.subarray(from - offset, to - offset));
    }
  }

  /** Index of the first piece that ends behind an offset. */
  #firstAt(offset: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const piece = this.#pieces[middle];
      if (piece && piece.start + piece.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #readPiece({ content }: Piece, at: number, into: Uint8Array): Promise<void> {
    if (typeof content !== 'string') {
      into.set(content.subarray(at, at + into.length));
      return;
    }
    const known = this.#open.get(content) ?? { handle: this.#files.open(content, { writable: false }), users: 0 };
    this.#open.delete(content);
    this.#open.set(content, known);
    known.users++;
    try {
      const file = await known.handle;
      // The file may have become shorter meanwhile; what is missing stays zero.
      const length = Math.min(into.length, file.size() - at);
      if (length > 0) await file.read(at, into.subarray(0, length));
    } catch (thrown) {
      const context = { filename: content, access: 'read' };
      throw new BlockError('io', 'Input/output error', { cause: asBlockError(thrown), context });
    } finally {
      known.users--;
      await this.#closeUnused(OPEN_FILES);
    }
  }

  /** Closes files that nobody is reading until `most` are left. */
  async #closeUnused(most: number): Promise<void> {
    for (const [name, file] of this.#open) {
      if (this.#open.size <= most) return;
      if (file.users > 0) continue;
      this.#open.delete(name);
      await file.handle.then(
        (handle) => handle.close(),
        () => undefined,
      );
    }
  }

  close(): Promise<void> {
    return this.#closeUnused(0);
  }
}
