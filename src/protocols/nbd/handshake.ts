/**
 * The handshake: from a connection to an export. Old servers tell their only export by themselves; others are asked for
 * encryption, for the largest form of replies that they know, for a context of block states, and for the export by its name.
 */
import { BlockError, invalidArgument } from '../../base/error.ts';
import type { Connection, TlsSettings } from '../../block/net.ts';
import { exportByInfo, exportByName, type KnownExport } from './exports.ts';
import { type Form, Handshake, NBD_MAGIC, Option, OPTION_MAGIC } from './numbers.ts';
import { Options } from './haggling.ts';
import { Incoming } from './stream.ts';

/** What is wanted of a server. */
export interface Wanted {
  /** Name of the export. */
  readonly name: string;
  /** Undefined: not encrypted. */
  readonly tls?: TlsSettings | undefined;
  /** The context whose block states are asked for. */
  readonly context: string;
}

/** An export that can be used. */
export interface Export extends KnownExport {
  readonly form: Form;
  /** Number of the context that was asked for; undefined: the server does not have it. */
  readonly context?: number | undefined;
}

/** A connection whose handshake is done: requests may follow. */
export interface Session {
  /** Another one than before where it is encrypted. */
  readonly connection: Connection;
  readonly export: Export;
}

const OLD_MAGIC = 0x420281861253n;

/**
 * Does the handshake (Handshake).
 * @throws BlockError with what the server said, if it refuses; the connection is then to be closed.
 */
export async function shakeHands(connection: Connection, wanted: Wanted): Promise<Session> {
  const incoming = new Incoming(connection);
  const magic = (await incoming.view(8, 'initial magic')).getBigUint64(0);
  if (magic !== NBD_MAGIC) throw badMagic('initial', magic);
  const style = (await incoming.view(8, 'server magic')).getBigUint64(0);
  if (style === OLD_MAGIC) return { connection, export: await oldExport(incoming, wanted) };
  if (style !== OPTION_MAGIC) throw badMagic('server', style);
  const flags = (await incoming.view(2, 'server flags')).getUint16(0) & (Handshake.fixedNewstyle | Handshake.noZeroes);
  const own = new Uint8Array(4);
  own[3] = flags;
  // As with options, a failure shows when the answer is read.
  await connection.write([own]).catch(() => undefined);
  const zeroes = (flags & Handshake.noZeroes) === 0;
  if ((flags & Handshake.fixedNewstyle) !== 0) return haggle(connection, wanted, zeroes);
  if (wanted.tls) throw noTls();
  const known = await exportByName(new Options(connection), wanted.name, zeroes);
  return { connection, export: { ...known, form: 'simple' } };
}

function badMagic(which: string, magic: bigint): BlockError {
  return new BlockError('invalid-argument', `Bad ${which} magic received: 0x${magic.toString(16).padStart(16, '0')}`);
}

function noTls(): BlockError {
  return new BlockError('unsupported', 'Server does not support STARTTLS');
}

/** Fixed newstyle negotiation. */
async function haggle(connection: Connection, wanted: Wanted, zeroes: boolean): Promise<Session> {
  let current = connection;
  let options = new Options(current);
  try {
    if (wanted.tls) {
      if (!(await options.isGranted(Option.startTls))) {
        throw new BlockError('unsupported', "Server don't support STARTTLS option");
      }
      current = await current.secure(wanted.tls);
      options = new Options(current);
    }
    const form: Form = (await options.isGranted(Option.extendedHeaders))
      ? 'extended'
      : (await options.isGranted(Option.structuredReply))
        ? 'structured'
        : 'simple';
    const context = form === 'simple' ? undefined : await options.context(wanted.name, wanted.context);
    const known =
      (await exportByInfo(options, wanted.name)) ??
      (await exportByName(options, await listed(options, wanted), zeroes));
    return { connection: current, export: { ...known, form, context } };
  } catch (error) {
    options.abort();
    if (current !== connection) current.close();
    throw error;
  }
}

/** The name of the export, if the server has it or does not tell what it has. */
async function listed(options: Options, { name }: Wanted): Promise<string> {
  const names = await options.list();
  if (name === '' || names === undefined || names.has(name)) return name;
  throw new BlockError('not-found', `No export with name '${name}' available`);
}

/** Oldstyle negotiation. */
async function oldExport(incoming: Incoming, wanted: Wanted): Promise<Export> {
  if (wanted.tls) throw noTls();
  if (wanted.name !== '') throw invalidArgument('Server does not support non-empty export names');
  const size = (await incoming.view(8, 'export length')).getBigUint64(0);
  const flags = (await incoming.view(4, 'export flags')).getUint32(0) & 0xffff;
  await incoming.skip(124, 'reserved block');
  return { size: Number(size), flags, form: 'simple' };
}
