/** Requests of one client (Transmission): taken one behind the other, done beside each other, answered as they are done. */
import { isPromise, type MaybePromise } from '../../../base/async.ts';
import { asBlockError, BlockError, invalidArgument } from '../../../base/error.ts';
import { systemError } from '../../../base/posix.ts';
import { Command, CommandFlag, Flag, type Form, Magic, MAX_TRANSFER } from '../numbers.ts';
import { Channel } from './channel.ts';
import type { Share } from './memory.ts';
import type { Agreement } from './negotiation.ts';
import type { Offered } from './offered.ts';
import { doWithout, memoryFor } from './others.ts';
import { Reads } from './reads.ts';
import { type Asked, Replies } from './replies.ts';

/** Bytes of a request. */
const SHORT_HEADER = 28;
const EXTENDED_HEADER = 32;

/** Flags that may come with each command. */
const FLAGS: Readonly<Record<number, number>> = {
  [Command.read]: CommandFlag.fua | CommandFlag.dontFragment,
  [Command.write]: CommandFlag.fua | CommandFlag.payloadLength,
  [Command.flush]: CommandFlag.fua,
  [Command.trim]: CommandFlag.fua,
  [Command.cache]: CommandFlag.fua,
  [Command.writeZeroes]: CommandFlag.fua | CommandFlag.noHole | CommandFlag.fastZero,
  [Command.blockStatus]: CommandFlag.fua | CommandFlag.oneExtent,
};

/** Commands that change something. */
const CHANGES: readonly number[] = [Command.write, Command.trim, Command.writeZeroes];

/** A client that has chosen an export. */
export class Requests {
  readonly #channel: Channel;
  readonly #offered: Offered;
  readonly #replies: Replies;
  readonly #reads: Reads;
  readonly #form: Form;
  readonly #contexts: readonly number[];
  readonly #head: Uint8Array;
  readonly #view: DataView;
  #stopping = false;

  constructor({ connection, form, offered, contexts }: Agreement, share: Share) {
    this.#channel = new Channel(connection, share);
    this.#offered = offered;
    this.#replies = new Replies(form);
    this.#reads = new Reads(this.#channel, offered.export.node, this.#replies);
    this.#form = form;
    this.#contexts = contexts;
    this.#head = new Uint8Array(form === 'extended' ? EXTENDED_HEADER : SHORT_HEADER);
    this.#view = new DataView(this.#head.buffer);
  }

  /** Serves until the client goes; gives why it has gone, if not because it said so. */
  async run(): Promise<string | undefined> {
    const channel = this.#channel;
    let reason: string | undefined;
    try {
      // Whoever takes no answers any more needs none to what is still to be read.
      while (!channel.failure) {
        const got = channel.read(this.#head);
        const count = isPromise(got) ? await got : got;
        if (count < this.#head.length) {
          reason = count === 0 ? 'it hung up' : 'it hung up in the middle of a request';
          break;
        }
        const asked = this.#asked();
        if (asked.command === Command.disconnect) break;
        const taken = this.#take(asked);
        if (isPromise(taken)) await taken;
      }
    } catch (thrown) {
      reason = asBlockError(thrown).message;
    }
    await channel.idle();
    channel.close();
    return channel.failure?.message ?? reason;
  }

  /** Refuses what comes from now on; resolves when everything else is answered. */
  stop(): Promise<void> {
    this.#stopping = true;
    return this.#channel.idle();
  }

  /** Hangs up. */
  close(): void {
    this.#channel.close();
  }

  #asked(): Asked {
    const view = this.#view;
    const extended = this.#form === 'extended';
    const magic = view.getUint32(0);
    if (magic !== (extended ? Magic.extendedRequest : Magic.request)) {
      throw new BlockError('io', `unexpected magic 0x${magic.toString(16)}`);
    }
    return {
      flags: view.getUint16(4),
      command: view.getUint16(6),
      high: view.getUint32(8),
      low: view.getUint32(12),
      offset: view.getUint32(16) * 0x100000000 + view.getUint32(20),
      length: extended ? view.getUint32(24) * 0x100000000 + view.getUint32(28) : view.getUint32(24),
    };
  }

  /** Takes a request, with all that belongs to it; resolves when the next one may be taken. */
  #take(asked: Asked): MaybePromise<void> {
    const payload = asked.command === Command.write || (asked.flags & CommandFlag.payloadLength) !== 0;
    if (payload && asked.length > MAX_TRANSFER) throw new BlockError('io', 'a request has too many bytes');
    const objection = this.#objectionTo(asked);
    if (objection) return this.#refuse(asked, payload ? asked.length : 0, objection);
    switch (asked.command) {
      case Command.read:
        return this.#read(asked);
      case Command.write:
        return this.#write(asked);
      default:
        return this.#do(asked);
    }
  }

  /** What is wrong with a request; undefined if nothing is. */
  #objectionTo(asked: Asked): BlockError | undefined {
    const { command, flags, offset, length } = asked;
    if (this.#stopping) return systemError('ESHUTDOWN', undefined, {});
    const known = FLAGS[command];
    if (known === undefined) return invalidArgument(`unknown command ${command}`);
    if ((flags & ~known) !== 0) return invalidArgument(`the command ${command} has no such flags: ${flags}`);
    const changes = CHANGES.includes(command);
    if (changes && (this.#offered.flags & Flag.readOnly) !== 0) {
      return new BlockError('permission-denied', 'the export is read-only', {
        posix: { code: 'EPERM', text: 'Operation not permitted' },
      });
    }
    if (command === Command.flush) return undefined;
    if (offset + length > this.#offered.size) {
      const text = `the request reaches beyond the end: ${length} bytes at ${offset} of ${this.#offered.size}`;
      return changes && command !== Command.trim ? new BlockError('no-space', text) : invalidArgument(text);
    }
    if (command === Command.read && length > MAX_TRANSFER) return invalidArgument('the request is too long');
    if ((command === Command.read || command === Command.blockStatus) && length === 0) {
      return invalidArgument('the request is about nothing');
    }
    if (command === Command.blockStatus && this.#contexts.length === 0) {
      return invalidArgument('no context of block states was chosen');
    }
    return undefined;
  }

  /** Answers with an error, and passes over what came with the request. */
  async #refuse(asked: Asked, payload: number, error: BlockError): Promise<void> {
    for (let left = payload; left > 0; ) {
      const loan = await this.#channel.share.take(left);
      try {
        left -= loan.bytes.length;
        await this.#channel.fill(loan.bytes);
      } finally {
        this.#channel.share.give(loan);
      }
    }
    await this.#channel.begin(0, async () => this.#channel.send([this.#replies.failure(asked, error)]));
  }

  #read(asked: Asked): MaybePromise<void> {
    const taken = this.#channel.share.take(asked.length);
    return isPromise(taken) ? taken.then((loan) => this.#reads.begin(asked, loan)) : this.#reads.begin(asked, taken);
  }

  /** Takes the bytes piece by piece, and writes each while the next one comes. */
  async #write(asked: Asked): Promise<void> {
    const { node } = this.#offered.export;
    const writes: Promise<void>[] = [];
    let failure: unknown;
    const failed = (thrown: unknown): void => {
      failure ??= thrown;
    };
    for (let at = 0; at < asked.length; ) {
      const taken = this.#channel.share.take(asked.length - at);
      const loan = isPromise(taken) ? await taken : taken;
      const { bytes } = loan;
      const offset = asked.offset + at;
      at += bytes.length;
      try {
        const filled = this.#channel.fill(bytes);
        if (isPromise(filled)) await filled;
      } catch (error) {
        this.#channel.share.give(loan);
        await Promise.all(writes);
        throw error;
      }
      if (at === asked.length) {
        this.#channel.follow(loan, async () => {
          await Promise.all([...writes, asPromise(() => node.write(offset, bytes)).catch(failed)]);
          await this.#changed(asked, failure);
        });
      } else {
        const write = asPromise(() => node.write(offset, bytes)).catch(failed);
        writes.push(write);
        void write.then(() => this.#channel.share.give(loan));
      }
    }
    if (asked.length === 0) await this.#channel.begin(0, () => this.#changed(asked, undefined));
  }

  /** Answers a write. */
  async #changed(asked: Asked, failure: unknown): Promise<void> {
    this.#offered.changed();
    let error = failure;
    if (error === undefined && (asked.flags & CommandFlag.fua) !== 0) {
      try {
        await this.#offered.export.node.flush();
      } catch (thrown) {
        error = thrown;
      }
    }
    await this.#channel.send([
      error === undefined ? this.#replies.success(asked) : this.#replies.failure(asked, error),
    ]);
  }

  /** Does what has no bytes to be moved. */
  #do(asked: Asked): MaybePromise<void> {
    if (asked.command === Command.blockStatus) return this.#channel.begin(1, () => this.#tellStates(asked));
    return this.#channel.begin(memoryFor(asked), async ({ bytes }) => {
      let answer: Uint8Array;
      try {
        await doWithout(this.#offered, asked, bytes);
        answer = this.#replies.success(asked);
      } catch (thrown) {
        answer = this.#replies.failure(asked, thrown);
      }
      await this.#channel.send([answer]);
    });
  }

  async #tellStates(asked: Asked): Promise<void> {
    const { offset, length, flags } = asked;
    const one = (flags & CommandFlag.oneExtent) !== 0;
    const last = this.#contexts.length - 1;
    const chunks: Uint8Array[] = [];
    try {
      for (const [index, context] of this.#contexts.entries()) {
        const states = await this.#offered.states(context, offset, length, one);
        chunks.push(this.#replies.states(asked, context, states, index === last));
      }
    } catch (thrown) {
      return this.#channel.send([this.#replies.failure(asked, thrown)]);
    }
    await this.#channel.send(chunks);
  }
}

/** The outcome of work that may be done at once. */
async function asPromise(work: () => MaybePromise<void>): Promise<void> {
  const done = work();
  if (isPromise(done)) await done;
}
