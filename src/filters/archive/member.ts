/** Files in archives, and what is read of them. */
import type { MaybePromise } from '../../base/async.ts';
import type { Extent, Limits, Storage, StorageDriver } from '../../storage/storage.ts';

/** Bytes of a member that lie in the archive as they are. */
export interface Piece {
  /** Where they are in the member. */
  readonly offset: number;
  readonly length: number;
  /** Where they are in the archive. */
  readonly place: number;
}

/** A file in an archive. */
export interface Member {
  /** Its whole path, as the archive has it. It is only compared, never used as a name of anything. */
  readonly name: string;
  readonly size: number;
  /** Its bytes, ascending; zeroes elsewhere. Of a compressed member one, with the length of what is stored. */
  readonly pieces: readonly Piece[];
  /** How the bytes are stored. */
  readonly method: 'stored' | 'deflate-raw';
  /** CRC-32 of the content, where the archive has one. */
  readonly sum?: number;
  /** Why it cannot be read. */
  readonly problem?: string;
}

/** What members have that are stored as they are. */
export const SEEKS = { method: 'stored' } as const;

/** A member that is stored as it is: windows of the archive. */
export class StoredMember implements StorageDriver {
  readonly limits: Limits = { requestAlignment: 1 };
  readonly #archive: Storage;
  readonly #member: Member;

  constructor(archive: Storage, member: Member) {
    this.#archive = archive;
    this.#member = member;
  }

  size(): number {
    return this.#member.size;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    const first = this.#at(offset);
    const piece = this.#member.pieces[first];
    if (piece && piece.offset <= offset && piece.offset + piece.length >= offset + into.length) {
      return this.#archive.read(piece.place + offset - piece.offset, into);
    }
    return this.#gather(first, offset, into);
  }

  async #gather(first: number, offset: number, into: Uint8Array): Promise<void> {
    into.fill(0);
    const { pieces } = this.#member;
    const end = offset + into.length;
    for (let index = first; index < pieces.length; index++) {
      const piece = pieces[index] as Piece;
      if (piece.offset >= end) break;
      const from = Math.max(offset, piece.offset);
      const to = Math.min(end, piece.offset + piece.length);
      await this.#archive.read(piece.place + from - piece.offset, into.subarray(from - offset, to - offset));
    }
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    const piece = this.#member.pieces[this.#at(offset)];
    if (!piece) return { length, kind: 'hole' };
    if (piece.offset > offset) return { length: Math.min(length, piece.offset - offset), kind: 'hole' };
    return { length: Math.min(length, piece.offset + piece.length - offset), kind: 'data' };
  }

  /** The first piece that ends behind `offset`. */
  #at(offset: number): number {
    const { pieces } = this.#member;
    let low = 0;
    let high = pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { offset: start, length } = pieces[middle] as Piece;
      if (start + length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** What is below belongs to the node. */
  close(): void {}

  allocatedSize(): number {
    return this.#member.pieces.reduce((sum, { length }) => sum + length, 0);
  }
}
