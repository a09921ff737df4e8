/** One SFTP session: many requests at a time, answered in any order, and little memory for them (sections 3 and 4). */
import { isPromise } from '../../base/async.ts';
import { asBlockError, BlockError } from '../../base/error.ts';
import { byteText } from '../../base/text.ts';
import type { ByteStreams } from '../../block/net.ts';
import type { RunningProgram } from '../../block/programs.ts';
import { Extension, MAX_PACKET, SAFE_DATA, Type } from './numbers.ts';
import { Content, invalidReply, packet, type Part } from './packets.ts';

const VERSION = 3;

/** How long a server may be silent while it has to answer, in milliseconds. Writing and flushing take slow disks minutes. */
const PATIENCE = { reads: 60000, changes: 600000 } as const;
/** The same before the first answer: somebody has to be reached, and to agree. */
const START_PATIENCE = 60000;
/** The same for the rest of what a server says that does not speak SFTP. */
const TEXT_PATIENCE = 500;

/** Bytes of data that are under way at most: enough to keep a line busy that takes its time. */
const MAX_LOAD = 8388608;

/** A request, but for its number. */
export interface Request {
  /** One of `Type`. */
  readonly type: number;
  readonly parts: readonly Part[];
  /** What is written, a string at the end of the request. Nobody changes it before the request is done. */
  readonly data?: Uint8Array;
  /** Where data go that come as the answer. */
  readonly into?: Uint8Array;
  /** The server may take its time. */
  readonly changes?: boolean;
}

/** The answer to a request. */
export interface Reply {
  readonly type: number;
  /** Everything behind the number of the request; of data only how many bytes there are. */
  readonly content: Content;
  /** Bytes of data that have come. */
  readonly length: number;
}

/** A request under way. */
interface Waiting {
  readonly into: Uint8Array | undefined;
  readonly load: number;
  readonly changes: boolean;
  resolve(reply: Reply): void;
  reject(error: BlockError): void;
}

const NOTHING = new Content(new Uint8Array());

/** Most bytes of data in one packet, each way. */
export interface DataLimits {
  readonly read: number;
  readonly write: number;
}

/** A session over streams of bytes. */
export class Session {
  /** Names of the server's extensions. */
  readonly extensions: ReadonlySet<string>;
  limits: DataLimits = { read: SAFE_DATA, write: SAFE_DATA };
  readonly #streams: RunningProgram;
  readonly #lastWords: () => Promise<string | undefined>;
  readonly #pending = new Map<number, Waiting>();
  readonly #head = new Uint8Array(9);
  readonly #view = new DataView(this.#head.buffer);
  #last = 0;
  #load = 0;
  #changing = 0;
  /** Requests that wait until others are done, in the order of their coming. */
  readonly #queue: { readonly load: number; enter(): void }[] = [];
  /** Milliseconds of patience now. */
  #granted = 0;
  #failure: BlockError | undefined;

  private constructor(
    streams: RunningProgram,
    extensions: ReadonlySet<string>,
    lastWords: () => Promise<string | undefined>,
  ) {
    this.#streams = streams;
    this.extensions = extensions;
    this.#lastWords = lastWords;
  }

  /**
   * Begins a session.
   * @param lastWords what whoever carries the streams has to say when they have ended.
   * @throws BlockError if the server does not speak SFTP, kind `io` and code `EPIPE` if it says nothing at all.
   */
  static async start(streams: RunningProgram, lastWords: () => Promise<string | undefined>): Promise<Session> {
    streams.patience(START_PATIENCE);
    // Whoever does not take it has ended, which what is read tells better.
    streams.write([packet(Type.init, undefined, [[4, VERSION]])]).catch(() => undefined);
    const head = new Uint8Array(5);
    const count = await streams.read(head);
    if (count === 0) {
      throw new BlockError('io', 'the server has hung up', { posix: { code: 'EPIPE', text: 'Broken pipe' } });
    }
    const length = new DataView(head.buffer).getUint32(0) - 1;
    if (count < 5 || head[4] !== Type.version || length < 4 || length > MAX_PACKET) {
      throw await noisy(streams, head.subarray(0, count));
    }
    const bytes = new Uint8Array(length);
    if ((await streams.read(bytes)) < length) throw cannotStart('the server has hung up');
    const content = new Content(bytes);
    const version = content.uint32();
    if (version !== VERSION) throw cannotStart(`the server speaks version ${version} of SFTP only`);
    const extensions = new Set<string>();
    while (content.left > 0) {
      extensions.add(content.text());
      content.bytes();
    }
    streams.patience(0);
    const session = new Session(streams, extensions, lastWords);
    void session.#receive();
    // Nobody waits for the answer, which is there before anything is open; if it is not, pieces are small.
    if (extensions.has(Extension.limits)) session.#askLimits().catch(() => undefined);
    return session;
  }

  async #askLimits(): Promise<void> {
    const { type, content } = await this.request({ type: Type.extended, parts: [Extension.limits] });
    if (type !== Type.extendedReply) return;
    const [whole, read, write] = [content.uint64(), content.uint64(), content.uint64()];
    // What a server does not limit is 0 (OpenSSH's PROTOCOL, 4.8). Powers of two keep pieces in whole blocks.
    const most = Math.min(whole === 0 ? MAX_PACKET : whole, MAX_PACKET) - 1024;
    const usable = (told: number): number => {
      const limit = Math.min(told === 0 ? most : told, most);
      return limit < SAFE_DATA ? SAFE_DATA : 2 ** Math.floor(Math.log2(limit));
    };
    this.limits = { read: usable(read), write: usable(write) };
  }

  /** Why the session is of no use any more; undefined while it is. */
  get failure(): BlockError | undefined {
    return this.#failure;
  }

  /**
   * Sends a request, and resolves with the answer.
   * @throws BlockError {@link Session.failure} if the session fails.
   */
  async request(request: Request): Promise<Reply> {
    const { into, data, changes = false } = request;
    const load = into?.length ?? data?.length ?? 0;
    this.#check();
    const entry = this.#enter(load);
    if (entry) {
      await entry;
      this.#check();
    }
    let sent: Promise<void> | undefined;
    const reply = await new Promise<Reply>((resolve, reject) => {
      const id = this.#add({ into, load, changes, resolve, reject });
      sent = this.#send(id, request);
      // What cannot be sent ends what is received, too, and that says why.
      sent.catch(() => undefined);
    });
    // The data may be overwritten from now on: an answer that comes too early does not mean that they were sent. What
    // becomes of the session does not matter to what is answered.
    if (data) await sent?.catch(() => undefined);
    return reply;
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Nobody needs it just now. See {@link RunningProgram.linger}. */
  linger(milliseconds: number): Promise<void> {
    return this.#streams.linger(milliseconds);
  }

  /** Hangs up. Nothing may be under way. */
  close(): void {
    this.#failure ??= new BlockError('io', 'Input/output error');
    this.#streams.close();
  }

  #send(id: number, { type, parts, data }: Request): Promise<void> {
    if (!data) return this.#streams.write([packet(type, id, parts)]);
    const head = packet(type, id, [...parts, [4, data.length]], data.length);
    return this.#streams.write([head, data]);
  }

  #add(waiting: Waiting): number {
    do {
      this.#last = (this.#last + 1) >>> 0;
    } while (this.#pending.has(this.#last));
    this.#pending.set(this.#last, waiting);
    if (waiting.changes) this.#changing++;
    this.#wait();
    return this.#last;
  }

  #settled(id: number, waiting: Waiting): void {
    this.#pending.delete(id);
    if (waiting.changes) this.#changing--;
    this.#load -= waiting.load;
    this.#admit();
    this.#wait();
  }

  /** Takes room for so many bytes; a promise if others have to be done first. */
  #enter(load: number): Promise<void> | undefined {
    if (this.#queue.length === 0 && this.#fits(load)) {
      this.#load += load;
      return undefined;
    }
    return new Promise((enter) => this.#queue.push({ load, enter }));
  }

  #fits(load: number): boolean {
    return this.#load === 0 || this.#load + load <= MAX_LOAD;
  }

  #admit(): void {
    for (;;) {
      const next = this.#queue[0];
      if (!next || !this.#fits(next.load)) return;
      this.#queue.shift();
      this.#load += next.load;
      next.enter();
    }
  }

  /** While something is under way, the server may not be silent for ever. */
  #wait(): void {
    const { reads, changes } = PATIENCE;
    const granted = this.#changing > 0 ? changes : this.#pending.size > 0 ? reads : 0;
    if (granted === this.#granted) return;
    this.#granted = granted;
    this.#streams.patience(granted);
  }

  async #receive(): Promise<void> {
    try {
      for (;;) await this.#reply();
    } catch (thrown) {
      const error = asBlockError(thrown);
      this.#streams.close();
      this.#break(error, error.code === 'ETIMEDOUT' || this.#failure ? undefined : await this.#lastWords());
    }
  }

  /** Everything that is under way fails, and everything that comes later. */
  #break(error: BlockError, words?: string): void {
    if (this.#failure) return;
    const timedOut = error.code === 'ETIMEDOUT';
    const details = { cause: error, ...(words === undefined ? {} : { hint: words }) };
    this.#failure = timedOut ? error : new BlockError('io', 'Input/output error', details);
    this.#streams.close();
    for (const waiting of this.#pending.values()) waiting.reject(this.#failure);
    this.#pending.clear();
    for (const next of this.#queue.splice(0)) next.enter();
  }

  async #fill(into: Uint8Array): Promise<void> {
    if (into.length === 0) return;
    const got = this.#streams.read(into);
    const count = isPromise(got) ? await got : got;
    if (count < into.length) throw new BlockError('io', 'The server has closed the connection');
  }

  async #reply(): Promise<void> {
    await this.#fill(this.#head);
    const length = this.#view.getUint32(0) - 5;
    const type = this.#head[4] ?? 0;
    const id = this.#view.getUint32(5);
    if (length < 0 || length > MAX_PACKET) throw invalidReply(`the server sent a packet of ${length + 5} bytes`);
    const waiting = this.#pending.get(id);
    if (!waiting) throw invalidReply('the server answered a request that was not made');
    const reply = type === Type.data ? await this.#data(waiting, length) : await this.#other(type, length);
    this.#settled(id, waiting);
    waiting.resolve(reply);
  }

  async #data({ into }: Waiting, length: number): Promise<Reply> {
    const size = new Uint8Array(4);
    if (length < 4) throw invalidReply('the server sent a packet that is cut short');
    await this.#fill(size);
    const count = new DataView(size.buffer).getUint32(0);
    if (count !== length - 4 || !into || count > into.length) {
      throw invalidReply('the server sent data that nobody asked for');
    }
    await this.#fill(into.subarray(0, count));
    return { type: Type.data, content: NOTHING, length: count };
  }

  async #other(type: number, length: number): Promise<Reply> {
    const bytes = new Uint8Array(length);
    await this.#fill(bytes);
    return { type, content: new Content(bytes), length: 0 };
  }
}

function cannotStart(why: string): BlockError {
  return new BlockError('io', `failed to initialize sftp handle: ${why}`);
}

/** The error for a server that says something else than SFTP, with the beginning of it. */
async function noisy(streams: ByteStreams, first: Uint8Array): Promise<BlockError> {
  const bytes = [...first];
  streams.patience(TEXT_PATIENCE);
  try {
    const next = new Uint8Array(1);
    while (bytes.length < 60 && !bytes.includes(10) && (await streams.read(next)) > 0) bytes.push(next[0] ?? 0);
  } catch {
    // That was all.
  }
  const line = byteText(Uint8Array.from(bytes)).split('\n')[0] ?? '';
  const text = line.replace(/[^\x20-\x7e]/g, '?');
  return cannotStart(`the server sent something else in front of SFTP: '${text}'`);
}
