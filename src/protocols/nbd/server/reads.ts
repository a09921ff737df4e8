/** Answers to reads: bytes of the image, and holes in the place of zeroes where the form of answers has them. */
import { isPromise } from '../../../base/async.ts';
import type { ImageNode } from '../../../block/node/node.ts';
import { CommandFlag } from '../numbers.ts';
import type { Channel } from './channel.ts';
import type { Loan } from './memory.ts';
import type { Asked, Replies } from './replies.ts';

/** Most chunks that a piece is answered with; what is cut up further is sent with its zeroes. */
const MAX_CHUNKS = 16;

/** The reads of one client. */
export class Reads {
  readonly #channel: Channel;
  readonly #node: ImageNode;
  readonly #replies: Replies;

  constructor(channel: Channel, node: ImageNode, replies: Replies) {
    this.#channel = channel;
    this.#node = node;
    this.#replies = replies;
  }

  /** Answers a read with memory for its beginning, or all of it; a promise resolves when the next request may be taken. */
  begin(asked: Asked, loan: Loan): Promise<void> | undefined {
    const unbroken = this.#replies.form === 'simple' || (asked.flags & CommandFlag.dontFragment) !== 0;
    if (loan.bytes.length < asked.length) return unbroken ? this.#unbroken(asked, loan) : this.#inPieces(asked, loan);
    this.#channel.follow(loan, () => this.#atOnce(asked, loan.bytes, unbroken));
    return undefined;
  }

  /** Answers in one go. */
  async #atOnce(asked: Asked, bytes: Uint8Array, unbroken: boolean): Promise<void> {
    let answer: readonly Uint8Array[];
    if (this.#channel.failure) return;
    try {
      if (unbroken) {
        const done = this.#node.read(asked.offset, bytes);
        if (isPromise(done)) await done;
        answer = [this.#replies.data(asked, asked.offset, bytes.length, true), bytes];
      } else answer = await this.#chunks(asked, asked.offset, bytes, true);
    } catch (thrown) {
      answer = [this.#replies.failure(asked, thrown)];
    }
    await this.#channel.send(answer);
  }

  /** The chunks of a piece. @param ends it is all that was asked for. */
  async #chunks(asked: Asked, offset: number, bytes: Uint8Array, ends: boolean): Promise<readonly Uint8Array[]> {
    const chunks: Uint8Array[] = [];
    for (let at = 0, count = 1; at < bytes.length; count++) {
      const left = bytes.length - at;
      const known = this.#node.status(offset + at, left);
      const extent = isPromise(known) ? await known : known;
      const length = count === MAX_CHUNKS ? left : extent.length;
      const last = ends && length === left;
      if (extent.kind === 'hole' && length === extent.length) {
        chunks.push(this.#replies.hole(asked, offset + at, length, last));
      } else {
        const part = length === bytes.length ? bytes : bytes.subarray(at, at + length);
        const done = this.#node.read(offset + at, part);
        if (isPromise(done)) await done;
        chunks.push(this.#replies.data(asked, offset + at, length, last), part);
      }
      at += length;
    }
    return chunks;
  }

  /** Answers piece by piece, several of which are under way at the same time. */
  async #inPieces(asked: Asked, first: Loan): Promise<void> {
    const { share } = this.#channel;
    const pieces: Promise<void>[] = [];
    let failure: unknown;
    const answer = async (offset: number, bytes: Uint8Array): Promise<void> => {
      if (this.#channel.failure) return;
      try {
        await this.#channel.send(await this.#chunks(asked, offset, bytes, false));
      } catch (thrown) {
        failure ??= thrown;
      }
    };
    for (let at = 0, loan = first; ; loan = await share.take(asked.length - at)) {
      const piece = answer(asked.offset + at, loan.bytes);
      pieces.push(piece);
      at += loan.bytes.length;
      if (at === asked.length) {
        return this.#channel.follow(loan, async () => {
          await Promise.all(pieces);
          const end = failure === undefined ? this.#replies.end(asked) : this.#replies.failure(asked, failure);
          await this.#channel.send([end]);
        });
      }
      const own = loan;
      void piece.then(() => share.give(own));
    }
  }

  /** Answers with one long run of bytes, between which nothing else may come. */
  async #unbroken(asked: Asked, loan: Loan): Promise<void> {
    const channel = this.#channel;
    try {
      await channel.idle();
      let failure: unknown;
      for (let at = 0; at < asked.length && !channel.failure; ) {
        const part = loan.bytes.subarray(0, Math.min(loan.bytes.length, asked.length - at));
        try {
          if (failure === undefined) await this.#node.read(asked.offset + at, part);
        } catch (thrown) {
          failure = thrown;
          if (at === 0) return await channel.send([this.#replies.failure(asked, failure)]);
          // There is no way to say it but to hang up.
          if (this.#replies.form === 'simple') return channel.breakOff(failure);
        }
        if (failure !== undefined) part.fill(0);
        const head = at === 0 ? [this.#replies.data(asked, asked.offset, asked.length, false)] : [];
        await channel.send([...head, part]);
        at += part.length;
      }
      if (this.#replies.form === 'simple') return;
      await channel.send([failure === undefined ? this.#replies.end(asked) : this.#replies.failure(asked, failure)]);
    } finally {
      channel.share.give(loan);
    }
  }
}
