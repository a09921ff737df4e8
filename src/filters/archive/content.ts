/** Members of zip archives, whose content has a checksum. */
import type { ByteStream } from '../../base/byteStream.ts';
import { BlockError } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import { crc32 } from '../../codec/checksums.ts';
import type { FilterContext } from '../../block/filter.ts';
import { ForwardStorage } from '../../storage/forward.ts';
import type { Storage } from '../../storage/storage.ts';
import { storageStream } from '../../storage/storageStream.ts';
import { type Member, StoredMember } from './member.ts';

function wrongSum(name: string): BlockError {
  const message = `zip data is damaged: the checksum of '${name}' is wrong`;
  return new BlockError('io', message, { posix: { code: 'EIO', text: message } });
}

/** A member that is stored as it is, and can be read in any order; its sum is looked at when all of it is asked for. */
export class SummedMember extends StoredMember {
  readonly #member: Member;
  readonly #sum: number;

  constructor(archive: Storage, member: Member, sum: number) {
    super(archive, member);
    this.#member = member;
    this.#sum = sum;
  }

  async verify(): Promise<void> {
    const { size, name } = this.#member;
    const buffer = new Uint8Array(Math.min(MiB, size));
    let sum = 0;
    for (let at = 0; at < size; at += buffer.length) {
      const part = buffer.subarray(0, size - at);
      await this.read(at, part);
      sum = crc32(part, sum);
    }
    if (sum !== this.#sum) throw wrongSum(name);
  }
}

/** Bytes in order, whose sum is looked at at the end. */
class Summed implements ByteStream {
  readonly #stream: ByteStream;
  readonly #member: Member;
  #sum = 0;

  constructor(stream: ByteStream, member: Member) {
    this.#stream = stream;
    this.#member = member;
  }

  async read(into: Uint8Array): Promise<number> {
    const count = await this.#stream.read(into);
    if (count === 0 && this.#sum !== this.#member.sum) throw wrongSum(this.#member.name);
    this.#sum = crc32(into.subarray(0, count), this.#sum);
    return count;
  }

  async close(): Promise<void> {
    await this.#stream.close();
  }
}

/** A compressed member. */
export class DeflatedMember extends ForwardStorage {
  constructor(
    archive: Storage,
    member: Member,
    expand: (input: ByteStream) => Promise<ByteStream>,
    spool: FilterContext['spool'],
  ) {
    const { name, size, pieces } = member;
    const [{ place, length } = { place: 0, length: 0 }] = pieces;
    super(
      {
        starts: [0],
        open: async () => new Summed(await expand(storageStream(archive, place, place + length)), member),
      },
      {
        size,
        ...spool,
        allocatedSize: () => length,
        wrongSize: () =>
          new BlockError('io', `zip data is damaged: '${name}' has not the ${size} bytes that it states`),
      },
    );
  }
}
