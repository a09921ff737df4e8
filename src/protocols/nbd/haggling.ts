/** Options of the handshake: asking for them, and what servers answer (Option types, Option reply types). */
import { BlockError } from '../../base/error.ts';
import { bytesOf } from '../../base/text.ts';
import type { Connection } from '../../block/net.ts';
import {
  isRefusal,
  Option,
  OPTION_MAGIC,
  optionName,
  optionText,
  Refusal,
  refusalText,
  Reply,
  REPLY_MAGIC,
  replyText,
} from './numbers.ts';
import { Incoming, message } from './stream.ts';

/** Most replies to one option: nobody has so many exports. */
const MAX_REPLIES = 100000;

/** One reply to an option, without its data. */
export interface OptionReply {
  readonly type: number;
  /** Bytes of data, which are still to be read. */
  readonly length: number;
}

/** A connection on which options are haggled about. */
export class Options {
  readonly incoming: Incoming;
  readonly #connection: Connection;
  #replies = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.incoming = new Incoming(connection);
  }

  /** Asks for an option. */
  async ask(option: number, data: Uint8Array = new Uint8Array()): Promise<void> {
    this.#replies = 0;
    // What keeps this from being sent shows when the answer is read, with more to say.
    await this.#connection
      .write([message([8, OPTION_MAGIC], [4, option], [4, data.length], data)])
      .catch(() => undefined);
  }

  /** The next reply to an option that was asked for. */
  async reply(option: number): Promise<OptionReply> {
    const header = await this.incoming.view(20, 'option reply');
    if (header.getBigUint64(0) !== REPLY_MAGIC) throw wrong('Unexpected option reply magic');
    const about = header.getUint32(8);
    if (about !== option) {
      throw wrong(`Unexpected option type ${optionText(about)}, expected ${optionText(option)}`);
    }
    if (++this.#replies > MAX_REPLIES) throw wrong(`Too many replies to option ${optionText(option)}`);
    return { type: header.getUint32(12), length: header.getUint32(16) };
  }

  /**
   * The next reply, undefined if the server does not know the option.
   * @throws BlockError if it refuses the option otherwise.
   */
  async answer(option: number): Promise<OptionReply | undefined> {
    const reply = await this.reply(option);
    if (!isRefusal(reply.type)) return reply;
    const said = await this.#said(reply);
    if (reply.type === Refusal.unsupported) return undefined;
    const { message: text, hint } = refusalText(reply.type, option);
    const hints = [hint, said === '' ? undefined : `server reported: ${said}`].filter((line) => line !== undefined);
    const kind =
      reply.type === Refusal.unknown ? 'not-found' : reply.type === Refusal.policy ? 'permission-denied' : 'io';
    throw new BlockError(kind, text, { hint: hints });
  }

  async #said({ type, length }: OptionReply): Promise<string> {
    const error = replyText(type);
    return this.incoming.text(length, `option error ${error} message`, `server error ${error} message is too long`);
  }

  /** Asks for an option that has no data; false if the server does not want it. */
  async isGranted(option: number): Promise<boolean> {
    await this.ask(option);
    const reply = await (option === Option.startTls ? this.answer(option) : this.#leniently(option));
    if (!reply) return false;
    if (reply.type !== Reply.ack) {
      throw wrong(`Server answered option ${optionText(option)} with unexpected reply ${replyText(reply.type)}`);
    }
    if (reply.length === 0) return true;
    throw wrong(`Option ${option} ('${optionName(option)}') response length is ${reply.length} (it should be zero)`);
  }

  /** As {@link Options.answer}, for what one can do without: no refusal is an error. */
  async #leniently(option: number): Promise<OptionReply | undefined> {
    const reply = await this.reply(option);
    if (!isRefusal(reply.type)) return reply;
    await this.#said(reply);
    return undefined;
  }

  /** Has a context of block states answered for an export; undefined if the server does not have it. */
  async context(name: string, context: string): Promise<number | undefined> {
    const [ofExport, ofContext] = [bytesOf(name), bytesOf(context)];
    const option = Option.setMetaContext;
    await this.ask(option, message([4, ofExport.length], ofExport, [4, 1], [4, ofContext.length], ofContext));
    let id: number | undefined;
    for (;;) {
      const reply = await this.#leniently(option);
      if (!reply) return undefined;
      if (reply.type === Reply.ack) {
        if (reply.length !== 0) throw wrong('Unexpected length to ACK response');
        return id;
      }
      if (reply.type !== Reply.metaContext) throw unexpected(reply.type, Reply.metaContext);
      if (id !== undefined) throw wrong('Server answered with more than one context');
      const failed = 'Failed to negotiate meta context';
      if (reply.length <= 4) throw wrong(`${failed}, server answered with unexpected length ${reply.length}`);
      id = (await this.incoming.view(4, 'context id')).getUint32(0);
      const named = await this.incoming.text(reply.length - 4, 'context name', `${failed}, its name is too long`);
      if (named !== context) {
        throw wrong(`${failed} '${context}', server answered with different context '${named}'`);
      }
    }
  }

  /** The names of the server's exports; undefined if it does not tell. */
  async list(): Promise<ReadonlySet<string> | undefined> {
    const names = new Set<string>();
    await this.ask(Option.list);
    for (;;) {
      const reply = await this.answer(Option.list);
      if (!reply) return undefined;
      if (reply.type === Reply.ack) {
        if (reply.length !== 0) throw wrong('length too long for option end');
        return names;
      }
      if (reply.type !== Reply.server) throw unexpected(reply.type, Reply.server);
      if (reply.length < 4) throw wrong(`incorrect option length ${reply.length}`);
      const length = (await this.incoming.view(4, 'option name length')).getUint32(0);
      if (length > reply.length - 4) throw wrong("incorrect name length in server's list response");
      names.add(await this.incoming.text(length, 'export name', 'export name in server list is too long'));
      await this.incoming.skip(reply.length - 4 - length, 'export description');
    }
  }

  /** Says that nothing comes of it; whether that arrives does not matter. */
  abort(): void {
    this.#connection.write([message([8, OPTION_MAGIC], [4, Option.abort], [4, 0])]).catch(() => undefined);
  }
}

/** The server does not keep to the protocol. */
export function wrong(text: string): BlockError {
  return new BlockError('invalid-argument', text);
}

function unexpected(got: number, expected: number): BlockError {
  return wrong(`Unexpected reply type ${replyText(got)}, expected ${replyText(expected)}`);
}
