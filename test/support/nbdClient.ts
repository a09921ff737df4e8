/** An NBD client that says exactly what a test has it say. */
import type { MemoryConnection } from './memoryNet.ts';
import { packed, type Part } from './nbdServer.ts';

/** A reply to an option. */
export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A reply, or a chunk of one. */
export interface RequestReply {
  readonly cookie: number;
  /** Type of the chunk; undefined for simple replies. */
  readonly type?: number;
  readonly done: boolean;
  readonly error: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What is asked of an export. */
export interface Command {
  readonly command: number;
  readonly flags?: number;
  readonly cookie?: number;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
  readonly data?: Uint8Array;
}

/** A name with its length in front. */
export function named(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  return packed([4, bytes.length], bytes);
}

/** The data of `NBD_OPT_GO` and `NBD_OPT_INFO`. */
export function goData(name: string, ...wanted: readonly number[]): Uint8Array {
  return packed(named(name), [2, wanted.length], ...wanted.map((info) => [2, info] as const));
}

/** The data of `NBD_OPT_SET_META_CONTEXT` and `NBD_OPT_LIST_META_CONTEXT`. */
export function contextData(name: string, ...queries: readonly string[]): Uint8Array {
  return packed(named(name), [4, queries.length], ...queries.map(named));
}

/** One connection, from the side of the client. */
export class NbdClient {
  readonly connection: MemoryConnection;
  form: 'simple' | 'structured' | 'extended' = 'simple';

  constructor(connection: MemoryConnection) {
    this.connection = connection;
  }

  send(...parts: readonly Part[]): Promise<void> {
    return this.connection.write([packed(...parts)]);
  }

  /** So many bytes. @throws Error if the server has hung up. */
  async receive(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    const count = await this.connection.read(bytes);
    if (count < length) throw new Error(`hung up after ${count} of ${length} bytes`);
    return bytes;
  }

  /** True if the server has nothing more to say. */
  async isOver(): Promise<boolean> {
    return (await this.connection.read(new Uint8Array(1))) === 0;
  }

  /** Takes the server's greeting, and answers it. */
  async greet(flags = 3): Promise<void> {
    const greeting = new TextDecoder().decode((await this.receive(18)).subarray(0, 16));
    if (greeting !== 'NBDMAGICIHAVEOPT') throw new Error(`no greeting: ${greeting}`);
    await this.send([4, flags]);
  }

  ask(option: number, data: Uint8Array = new Uint8Array()): Promise<void> {
    return this.send(new TextEncoder().encode('IHAVEOPT'), [4, option], [4, data.length], data);
  }

  async optionReply(): Promise<OptionReply> {
    const view = new DataView((await this.receive(20)).buffer);
    if (view.getBigUint64(0) !== 0x3e889045565a9n) throw new Error('no reply to an option');
    return { option: view.getUint32(8), type: view.getUint32(12), data: await this.receive(view.getUint32(16)) };
  }

  /** All replies to an option up to the one that ends them. */
  async option(option: number, data?: Uint8Array): Promise<readonly OptionReply[]> {
    await this.ask(option, data);
    const replies: OptionReply[] = [];
    for (;;) {
      const reply = await this.optionReply();
      replies.push(reply);
      if (reply.type === 1 || reply.type >= 0x80000000) return replies;
    }
  }

  /** The handshake up to the export; gives its size and its flags. */
  async go(
    name = '',
    form: NbdClient['form'] = 'structured',
    ...contexts: readonly string[]
  ): Promise<{ readonly size: number; readonly flags: number }> {
    await this.greet();
    if (form !== 'simple') await this.option(form === 'extended' ? 11 : 8);
    this.form = form;
    if (contexts.length > 0) await this.option(10, contextData(name, ...contexts));
    const replies = await this.option(7, goData(name));
    const info = replies.find(({ type, data }) => type === 3 && data[0] === 0 && data[1] === 0);
    if (!info) throw new Error(`no export: ${replies.at(-1)?.type}`);
    const view = new DataView(info.data.buffer);
    return { size: Number(view.getBigUint64(2)), flags: view.getUint16(10) };
  }

  bytesOf({ command, flags = 0, cookie = 1, offset = 0, length, data = new Uint8Array() }: Command): Uint8Array {
    const extended = this.form === 'extended';
    return packed(
      [4, extended ? 0x21e41c71 : 0x25609513],
      [2, flags],
      [2, command],
      [8, cookie],
      [8, offset],
      [extended ? 8 : 4, length ?? data.length],
      data,
    );
  }

  /** Sends a request. */
  request(command: Command): Promise<void> {
    return this.send(this.bytesOf(command));
  }

  /** The next reply, or the next chunk of one. @param simple bytes that come with a simple reply without an error. */
  async reply(simple = 0): Promise<RequestReply> {
    const head = new DataView((await this.receive(16)).buffer);
    const cookie = Number(head.getBigUint64(8));
    const magic = head.getUint32(0);
    if (magic === 0x67446698) {
      const error = head.getUint32(4);
      return { cookie, done: true, error, data: await this.receive(error === 0 ? simple : 0) };
    }
    const extended = magic === 0x6e8a278c;
    if (!extended && magic !== 0x668e33ef) throw new Error(`no reply: ${magic.toString(16)}`);
    const rest = new DataView((await this.receive(extended ? 16 : 4)).buffer);
    const data = await this.receive(extended ? Number(rest.getBigUint64(8)) : rest.getUint32(0));
    const type = head.getUint16(6);
    const error = type >= 0x8000 ? new DataView(data.buffer).getUint32(0) : 0;
    return { cookie, type, done: (head.getUint16(4) & 1) !== 0, error, data };
  }

  /** Does a request; gives all of its answer. */
  async do(command: Command, simple = 0): Promise<readonly RequestReply[]> {
    await this.request(command);
    const chunks: RequestReply[] = [];
    for (;;) {
      const chunk = await this.reply(simple);
      chunks.push(chunk);
      if (chunk.done) return chunks;
    }
  }

  /** The number of the error of a request; 0 if it went well. */
  async error(command: Command): Promise<number> {
    return Math.max(...(await this.do(command)).map(({ error }) => error));
  }

  /** The bytes of a read. */
  async read(offset: number, length: number, flags = 0): Promise<Uint8Array> {
    const into = new Uint8Array(length).fill(0xee);
    const chunks = await this.do({ command: 0, flags, offset, length }, length);
    for (const { type, data, error } of chunks) {
      if (error !== 0) throw new Error(`error ${error}`);
      if (type === undefined) into.set(data);
      else if (type === 1 || type === 2) {
        const view = new DataView(data.buffer);
        const at = Number(view.getBigUint64(0)) - offset;
        if (type === 1) into.set(data.subarray(8), at);
        else into.fill(0, at, at + view.getUint32(8));
      }
    }
    return into;
  }
}
