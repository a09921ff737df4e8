/** The connection of a client that has chosen an export: what comes on it, what goes back, and how much is under way. */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { asBlockError, BlockError } from '../../../base/error.ts';
import type { Connection } from '../../../block/net.ts';
import type { Loan, Share } from './memory.ts';

/** A connection with requests under way. */
export class Channel {
  /** The memory of the requests. Who takes requests is the only one to take some. */
  readonly share: Share;
  readonly #connection: Connection;
  /** Requests that are not answered yet. */
  #pending = 0;
  readonly #idle: (() => void)[] = [];
  #failure: BlockError | undefined;

  constructor(connection: Connection, share: Share) {
    this.#connection = connection;
    this.share = share;
  }

  /** Why answers could not be sent; undefined if they could. */
  get failure(): BlockError | undefined {
    return this.#failure;
  }

  /** Fills `into` or gives how many bytes there were at the end. */
  read(into: Uint8Array): MaybePromise<number> {
    return this.#connection.read(into);
  }

  /** Fills `into`. @throws BlockError if the client has gone. */
  fill(into: Uint8Array): MaybePromise<void> {
    const got = this.#connection.read(into);
    return isPromise(got) ? got.then((count) => checkCount(count, into)) : checkCount(got, into);
  }

  /** Sends an answer, or a part of one; resolves when it is gone. That it could not be sent is no failure of the request. */
  async send(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#connection.write(pieces);
    } catch (thrown) {
      this.breakOff(thrown);
    }
  }

  /** Nothing can be said to the client any more. */
  breakOff(thrown: unknown): void {
    this.#failure ??= asBlockError(thrown);
    this.#connection.close();
  }

  /** Lends memory to a piece of work, which is begun then, and not waited for. */
  begin(wanted: number, work: (loan: Loan) => Promise<void>): MaybePromise<void> {
    const taken = this.share.take(wanted);
    return isPromise(taken) ? taken.then((loan) => this.follow(loan, work)) : this.follow(taken, work);
  }

  /** Begins work that has its memory, which is given back when it is done. */
  follow(loan: Loan, work: (loan: Loan) => Promise<void>): void {
    this.#pending++;
    void work(loan)
      .catch((thrown: unknown) => this.breakOff(thrown))
      .finally(() => {
        this.share.give(loan);
        if (--this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve();
      });
  }

  /** Resolves when everything is answered that was asked. */
  async idle(): Promise<void> {
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Hangs up. */
  close(): void {
    this.#connection.close();
  }
}

function checkCount(count: number, into: Uint8Array): void {
  if (count < into.length) throw new BlockError('io', 'it hung up in the middle of a request');
}
