/** Requests and replies on one connection (Transmission): many requests at a time, answered in any order. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import type { Connection } from '../../block/net.ts';
import { Answer, type BlockStates, invalidReply, type Request, serverError } from './answer.ts';
import type { Session } from './handshake.ts';
import { Chunk, CHUNK_DONE, Command, CommandFlag, Magic, MAX_TRANSFER } from './numbers.ts';
import { message } from './stream.ts';

/** Bytes of a simple reply, and of the beginning of the others. */
const SHORT_HEADER = 16;
/** The rest of the others. */
const STRUCTURED_REST = 4;
const EXTENDED_REST = 16;

/** Most bytes of an error chunk. */
const MAX_ERROR = 65536;

/** How long a server may be silent while it has to answer, in milliseconds. */
export interface Patience {
  readonly reads: number;
  /** Where something is changed, or made safe. */
  readonly changes: number;
}

/** A session, and the requests that are under way on it. */
export class Transmission {
  readonly session: Session;
  readonly #connection: Connection;
  readonly #patience: Patience;
  readonly #pending = new Map<number, Answer>();
  readonly #head = new Uint8Array(SHORT_HEADER + EXTENDED_REST);
  readonly #view = new DataView(this.#head.buffer);
  #last = 0;
  /** Requests under way that change something. */
  #changing = 0;
  #granted = 0;
  #failure: BlockError | undefined;

  constructor(session: Session, patience: Patience) {
    this.session = session;
    this.#connection = session.connection;
    this.#patience = patience;
    void this.#receive();
  }

  /** Why the connection is of no use any more; undefined while it is. */
  get failure(): BlockError | undefined {
    return this.#failure;
  }

  /** Requests under way. */
  get load(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request; resolves when it is answered, with block states if it asked for some.
   * @throws BlockError what the server says, or {@link Transmission.failure} if the connection fails.
   */
  async send(request: Request): Promise<BlockStates | undefined> {
    if (this.#failure) throw this.#failure;
    const changes = request.command !== Command.read && request.command !== Command.blockStatus;
    let number = 0;
    let answer: Answer | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      answer = new Answer(request, (error) => {
        if (!this.#pending.delete(number)) return;
        if (error) reject(error);
        else resolve();
      });
      do {
        this.#last = (this.#last + 1) >>> 0;
      } while (this.#pending.has(this.#last));
      number = this.#last;
      this.#pending.set(number, answer);
    });
    if (changes) this.#changing++;
    this.#wait();
    const header = this.#headerOf(request, number);
    const sent = this.#connection.write(request.data ? [header, request.data] : [header]);
    sent.catch((error: unknown) => this.#break(asBlockError(error)));
    try {
      await answered;
      // The data may be overwritten from now on: an answer that comes too early does not mean that they were sent. What
      // becomes of the connection does not matter to what is answered.
      if (request.data) await sent.catch(() => undefined);
    } finally {
      if (changes) this.#changing--;
      this.#wait();
    }
    return answer?.states;
  }

  /** Says goodbye and hangs up. Nothing may be under way. */
  close(): void {
    if (!this.#failure) {
      const header = this.#headerOf({ command: Command.disconnect, flags: 0, offset: 0, length: 0 }, 0);
      this.#connection.write([header]).catch(() => undefined);
      this.#failure = new BlockError('io', 'Input/output error');
    }
    this.#connection.close();
  }

  /** While something is under way, the server may not be silent for ever. */
  #wait(): void {
    const { reads, changes } = this.#patience;
    const granted = this.#changing > 0 ? changes : this.#pending.size > 0 ? reads : 0;
    if (granted === this.#granted) return;
    this.#granted = granted;
    this.#connection.patience(granted);
  }

  #headerOf({ command, flags, offset, length }: Request, number: number): Uint8Array {
    if (this.session.export.form !== 'extended') {
      return message([4, Magic.request], [2, flags], [2, command], [8, number], [8, offset], [4, length]);
    }
    const all = command === Command.write ? flags | CommandFlag.payloadLength : flags;
    return message([4, Magic.extendedRequest], [2, all], [2, command], [8, number], [8, offset], [8, length]);
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const next = this.#reply();
        if (isPromise(next)) await next;
      }
    } catch (error) {
      this.#break(asBlockError(error));
    }
  }

  /** Everything that is under way fails, and everything that comes later. */
  #break(error: BlockError): void {
    if (this.#failure) return;
    const timedOut = error.code === 'ETIMEDOUT';
    this.#failure = timedOut ? error : new BlockError('io', 'Input/output error', { cause: error });
    this.#connection.close();
    for (const answer of this.#pending.values()) answer.fail(this.#failure);
  }

  async #fill(into: Uint8Array): Promise<void> {
    const got = this.#connection.read(into);
    const count = isPromise(got) ? await got : got;
    if (count < into.length) throw new BlockError('io', 'The server has closed the connection');
  }

  async #bytes(length: number): Promise<DataView> {
    const bytes = new Uint8Array(length);
    await this.#fill(bytes);
    return new DataView(bytes.buffer);
  }

  /** Takes the next reply, or the next chunk of one. */
  async #reply(): Promise<void> {
    const view = this.#view;
    await this.#fill(this.#head.subarray(0, SHORT_HEADER));
    const magic = view.getUint32(0);
    const { form } = this.session.export;
    const answer = this.#pending.get(view.getUint32(8) === 0 || magic === Magic.simpleReply ? view.getUint32(12) : 0);
    if (magic === Magic.simpleReply && form !== 'extended') return this.#simple(answer, view.getUint32(4));
    if (magic !== (form === 'extended' ? Magic.extendedReply : Magic.structuredReply) || form === 'simple') {
      throw invalidReply(`unexpected magic 0x${magic.toString(16)}`);
    }
    const rest = form === 'extended' ? EXTENDED_REST : STRUCTURED_REST;
    await this.#fill(this.#head.subarray(SHORT_HEADER, SHORT_HEADER + rest));
    const length = form === 'extended' ? Number(view.getBigUint64(24)) : view.getUint32(16);
    if (!answer) throw invalidReply('answer to a request that was not made');
    const [flags, type] = [view.getUint16(4), view.getUint16(6)];
    return this.#judged(answer, async () => {
      await this.#chunk(answer, type, length, (flags & CHUNK_DONE) !== 0);
      if ((flags & CHUNK_DONE) !== 0) answer.done();
    });
  }

  /** Runs `body`: where it finds the answer invalid, its request says so, and the connection is of no use any more. */
  async #judged(answer: Answer, body: () => MaybePromise<void>): Promise<void> {
    try {
      await body();
    } catch (thrown) {
      const error = asBlockError(thrown);
      if (error.kind === 'invalid-argument') answer.fail(error);
      throw error;
    }
  }

  #simple(answer: Answer | undefined, error: number): Promise<void> {
    if (!answer) throw invalidReply('answer to a request that was not made');
    return this.#judged(answer, async () => {
      const { request } = answer;
      const structured = this.session.export.form !== 'simple';
      if (structured && (request.command === Command.read || request.command === Command.blockStatus)) {
        throw invalidReply('simple reply where a structured one is due');
      }
      if (error !== 0) answer.error = serverError(error);
      else if (request.into) await this.#fill(answer.part(request.offset, request.length));
      answer.done();
    });
  }

  /** Takes the payload of a chunk (Structured reply types). */
  async #chunk(answer: Answer, type: number, length: number, last: boolean): Promise<void> {
    answer.admit(type);
    if (type >= 0x8000) return this.#error(answer, type, length);
    switch (type) {
      case Chunk.none:
        if (length !== 0 || !last) throw invalidReply('malformed chunk without content');
        return;
      case Chunk.data: {
        if (length <= 8) throw invalidReply('data chunk is too short');
        const offset = Number((await this.#bytes(8)).getBigUint64(0));
        return this.#fill(answer.part(offset, length - 8));
      }
      case Chunk.hole: {
        if (length !== 12) throw invalidReply('malformed hole chunk');
        const view = await this.#bytes(12);
        answer.part(Number(view.getBigUint64(0)), view.getUint32(8)).fill(0);
        return;
      }
      case Chunk.blockStatus:
      case Chunk.blockStatusExtended:
        answer.states = await this.#states(type, length);
        return;
      default:
        throw invalidReply(`unexpected chunk type ${type}`);
    }
  }

  async #error(answer: Answer, type: number, length: number): Promise<void> {
    const least = type === Chunk.errorOffset ? 14 : 6;
    if (length < least || length > MAX_ERROR) throw invalidReply('malformed error chunk');
    const view = await this.#bytes(length);
    const number = view.getUint32(0);
    if (number === 0 || view.getUint16(4) > length - least) throw invalidReply('malformed error chunk');
    answer.error ??= serverError(number);
  }

  async #states(type: number, length: number): Promise<BlockStates> {
    const extended = type === Chunk.blockStatusExtended;
    const [head, each] = extended ? [8, 16] : [4, 8];
    const count = (length - head) / each;
    if (count < 1 || !Number.isInteger(count) || length > MAX_TRANSFER) throw invalidReply('malformed block states');
    const view = await this.#bytes(length);
    if (view.getUint32(0) !== this.session.export.context) throw invalidReply('block states of another context');
    const [lengths, bits] = [new Float64Array(count), new Uint32Array(count)];
    for (let index = 0; index < count; index++) {
      const at = head + index * each;
      lengths[index] = extended ? Number(view.getBigUint64(at)) : view.getUint32(at);
      bits[index] = view.getUint32(extended ? at + 12 : at + 4);
      if (lengths[index] === 0) throw invalidReply('empty block state');
    }
    return { lengths, bits };
  }
}
