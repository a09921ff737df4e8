/** The server's side of the handshake (Handshake): options are answered until the client has chosen an export, or goes. */
import { isPromise } from '../../../base/async.ts';
import { BlockError } from '../../../base/error.ts';
import { bytesOf, textOf } from '../../../base/text.ts';
import type { Connection, TlsSettings } from '../../../block/net.ts';
import {
  type Form,
  Handshake,
  Info,
  MAX_NAME,
  MAX_TRANSFER,
  NBD_MAGIC,
  Option,
  OPTION_MAGIC,
  Refusal,
  Reply,
  REPLY_MAGIC,
} from '../numbers.ts';
import { message } from '../stream.ts';
import { chosenContexts, listedContexts } from './contexts.ts';
import type { Offered } from './offered.ts';
import { OptionData } from './optionData.ts';

/** Longest data of an option; who sends more is hung up on. */
const MAX_DATA = 65536;

/** What every client may send at once, whatever it says of itself. */
const PREFERRED = 4096;

/** What was agreed on. */
export interface Agreement {
  /** Another one than before where it is encrypted. */
  readonly connection: Connection;
  readonly form: Form;
  readonly offered: Offered;
  /** Numbers of contexts whose block states are told. */
  readonly contexts: readonly number[];
}

/** The client does not keep to the protocol, or has gone. */
function broken(text: string): BlockError {
  return new BlockError('io', text);
}

/** One handshake. */
export class Negotiation {
  readonly #exports: ReadonlyMap<string, Offered>;
  readonly #tls: TlsSettings | undefined;
  #connection: Connection;
  #encrypted = false;
  #zeroes = true;
  #form: Form = 'simple';
  /** The contexts that were chosen, and for which export. */
  #chosen: { readonly name: string; readonly contexts: readonly number[] } | undefined;

  constructor(connection: Connection, exports: ReadonlyMap<string, Offered>, tls: TlsSettings | undefined) {
    this.#connection = connection;
    this.#exports = exports;
    this.#tls = tls;
  }

  /** The connection as it is now. */
  get connection(): Connection {
    return this.#connection;
  }

  /**
   * Does the handshake; undefined if the client wanted nothing more than to look.
   * @throws BlockError if it does not keep to the protocol, or is gone.
   */
  async run(): Promise<Agreement | undefined> {
    await this.#send(message([8, NBD_MAGIC], [8, OPTION_MAGIC], [2, Handshake.fixedNewstyle | Handshake.noZeroes]));
    const flags = new DataView((await this.#bytes(4)).buffer).getUint32(0);
    if ((flags & ~(Handshake.fixedNewstyle | Handshake.noZeroes)) !== 0) throw broken('unknown handshake flags');
    this.#zeroes = (flags & Handshake.noZeroes) === 0;
    for (;;) {
      const option = await this.#option();
      if (option.number === Option.abort) {
        await this.#reply(option.number, Reply.ack);
        return undefined;
      }
      const offered = await this.#answer(option.number, option.data);
      if (offered) return this.#agreement(offered);
    }
  }

  #agreement(offered: Offered): Agreement {
    const { name } = offered.export;
    const contexts = this.#chosen?.name === name ? this.#chosen.contexts : [];
    return { connection: this.#connection, form: this.#form, offered, contexts };
  }

  async #option(): Promise<{ readonly number: number; readonly data: Uint8Array }> {
    const header = new DataView((await this.#bytes(16)).buffer);
    if (header.getBigUint64(0) !== OPTION_MAGIC) throw broken('no option where there has to be one');
    const length = header.getUint32(12);
    if (length > MAX_DATA) throw broken('the data of an option are too long');
    return { number: header.getUint32(8), data: await this.#bytes(length) };
  }

  /** Answers an option; gives the export if one is chosen by it. */
  async #answer(option: number, data: Uint8Array): Promise<Offered | undefined> {
    if (this.#tls && !this.#encrypted && option !== Option.startTls) {
      // There is no other way to refuse that one.
      if (option === Option.exportName) throw broken('an export was chosen without TLS');
      return this.#refuse(option, Refusal.tlsRequired, 'TLS is needed here');
    }
    const alone = data.length > 0 && (ALONE as readonly number[]).includes(option);
    if (alone) return this.#refuse(option, Refusal.invalid, 'the option has no data');
    switch (option) {
      case Option.exportName:
        return this.#exportName(textOf(data));
      case Option.list:
        return this.#list();
      case Option.startTls:
        return this.#startTls();
      case Option.info:
      case Option.go:
        return this.#inform(option, data);
      case Option.structuredReply:
      case Option.extendedHeaders:
        return this.#setForm(option);
      case Option.listMetaContext:
      case Option.setMetaContext:
        return this.#metaContexts(option, data);
      default:
        return this.#refuse(option, Refusal.unsupported, 'unknown option');
    }
  }

  async #exportName(name: string): Promise<Offered> {
    const offered = this.#exports.get(name);
    if (!offered) throw broken(`an export that is not there was chosen: '${name}'`);
    const zeroes = new Uint8Array(this.#zeroes ? 124 : 0);
    await this.#send(message([8, offered.size], [2, offered.flags], zeroes));
    return offered;
  }

  async #list(): Promise<undefined> {
    for (const { export: exported } of this.#exports.values()) {
      const name = bytesOf(exported.name);
      await this.#reply(
        Option.list,
        Reply.server,
        message([4, name.length], name, bytesOf(exported.description ?? '')),
      );
    }
    await this.#reply(Option.list, Reply.ack);
  }

  async #startTls(): Promise<undefined> {
    if (!this.#tls) return this.#refuse(Option.startTls, Refusal.policy, 'TLS is not set up here');
    if (this.#encrypted) return this.#refuse(Option.startTls, Refusal.invalid, 'TLS is there already');
    await this.#reply(Option.startTls, Reply.ack);
    this.#connection = await this.#connection.secure(this.#tls);
    this.#encrypted = true;
    // What was agreed on before could have been somebody else's doing.
    this.#form = 'simple';
    this.#chosen = undefined;
  }

  async #setForm(option: number): Promise<undefined> {
    if (this.#form === 'extended') {
      const refusal = option === Option.structuredReply ? Refusal.extendedRequired : Refusal.invalid;
      return this.#refuse(option, refusal, 'extended headers are agreed on already');
    }
    if (option === Option.structuredReply && this.#form === 'structured') {
      return this.#refuse(option, Refusal.invalid, 'structured replies are agreed on already');
    }
    this.#form = option === Option.extendedHeaders ? 'extended' : 'structured';
    await this.#reply(option, Reply.ack);
  }

  async #inform(option: number, data: Uint8Array): Promise<Offered | undefined> {
    const reader = new OptionData(data);
    const name = reader.text();
    const wanted = name === undefined ? undefined : reader.shorts();
    if (name === undefined || !wanted || !reader.isEnd) return this.#malformed(option);
    const offered = this.#exports.get(name);
    if (!offered) return this.#refuse(option, Refusal.unknown, `there is no export '${name.slice(0, 80)}'`);
    const { description } = offered.export;
    if (wanted.includes(Info.name)) await this.#reply(option, Reply.info, message([2, Info.name], bytesOf(name)));
    if (wanted.includes(Info.description) && description !== undefined) {
      await this.#reply(option, Reply.info, message([2, Info.description], bytesOf(description)));
    }
    await this.#reply(option, Reply.info, message([2, Info.blockSize], [4, 1], [4, PREFERRED], [4, MAX_TRANSFER]));
    await this.#reply(option, Reply.info, message([2, Info.export], [8, offered.size], [2, offered.flags]));
    await this.#reply(option, Reply.ack);
    return option === Option.go ? offered : undefined;
  }

  async #metaContexts(option: number, data: Uint8Array): Promise<undefined> {
    const sets = option === Option.setMetaContext;
    if (sets) this.#chosen = undefined;
    if (this.#form === 'simple') return this.#refuse(option, Refusal.invalid, 'structured replies are needed for that');
    const reader = new OptionData(data);
    const name = reader.text();
    const queries = name === undefined ? undefined : reader.texts();
    if (name === undefined || !queries || !reader.isEnd) return this.#malformed(option);
    const offered = this.#exports.get(name);
    if (!offered) return this.#refuse(option, Refusal.unknown, `there is no export '${name.slice(0, 80)}'`);
    const { contexts } = offered;
    const found = sets ? chosenContexts(contexts, queries) : listedContexts(contexts, queries);
    for (const context of found) {
      const text = bytesOf(contexts[context] ?? '');
      await this.#reply(option, Reply.metaContext, message([4, sets ? context : 0], text));
    }
    if (sets) this.#chosen = { name, contexts: found };
    await this.#reply(option, Reply.ack);
  }

  #malformed(option: number): Promise<undefined> {
    return this.#refuse(option, Refusal.invalid, 'the data of the option are malformed');
  }

  async #refuse(option: number, refusal: number, text: string): Promise<undefined> {
    await this.#reply(option, refusal, bytesOf(text).subarray(0, MAX_NAME));
  }

  #reply(option: number, type: number, data: Uint8Array = new Uint8Array()): Promise<void> {
    return this.#send(message([8, REPLY_MAGIC], [4, option], [4, type], [4, data.length], data));
  }

  /** Waits until it is sent: who asks and asks and takes no answer gets no further. */
  #send(bytes: Uint8Array): Promise<void> {
    return this.#connection.write([bytes]);
  }

  async #bytes(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const into = new Uint8Array(length);
    if (length === 0) return into;
    const got = this.#connection.read(into);
    if ((isPromise(got) ? await got : got) < length) throw broken('the client has gone');
    return into;
  }
}

/** Options without data. */
const ALONE = [Option.list, Option.startTls, Option.structuredReply, Option.extendedHeaders] as const;
