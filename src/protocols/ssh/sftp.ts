/** What can be done with the files of a server: each function one request of SFTP (section 6), or an extension. */
import { BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { Extension, Status, Type } from './numbers.ts';
import { type Attributes, attributeParts, invalidReply, type Part } from './packets.ts';
import type { Reply, Request, Session } from './session.ts';

/** POSIX errors that status codes stand for; others are input/output errors. */
const CODES: Readonly<Record<number, string>> = {
  [Status.noSuchFile]: 'ENOENT',
  [Status.permissionDenied]: 'EACCES',
  [Status.unsupported]: 'ENOTSUP',
};

/** Texts of status codes where the server sends none (section 7). */
const TEXTS: Readonly<Record<number, string>> = {
  [Status.endOfFile]: 'End of file',
  [Status.noSuchFile]: 'No such file',
  [Status.permissionDenied]: 'Permission denied',
  [Status.failure]: 'Failure',
  [Status.badMessage]: 'Bad message',
  [Status.unsupported]: 'Operation unsupported',
};

/** Longest text of a server that becomes part of a message. */
const MAX_TEXT = 200;

/** What the server says instead of doing what it was asked for. */
export class StatusError extends BlockError {
  /** One of `Status`. */
  readonly status: number;

  constructor(status: number, said: string) {
    const { kind, code, strerror: text } = systemError(CODES[status] ?? 'EIO', undefined, {});
    const words = said.replace(/\p{Cc}+/gu, ' ').slice(0, MAX_TEXT) || TEXTS[status] || 'unknown error';
    super(kind, `SFTP server: ${words} (sftp error code: ${status})`, { posix: { code, text } });
    this.status = status;
  }
}

/** The status in a reply as an error; undefined: all went well. */
function failureIn({ type, content }: Reply): StatusError | undefined {
  if (type !== Type.status) throw invalidReply(`the server answered with a packet of type ${type}`);
  const code = content.uint32();
  if (code === Status.ok) return undefined;
  // Old servers leave the text out.
  return new StatusError(code, content.left > 0 ? content.text() : '');
}

/** A request that is answered by nothing but a status. */
async function ask(session: Session, request: Request): Promise<void> {
  const failure = failureIn(await session.request(request));
  if (failure) throw failure;
}

/** A request that is answered by a packet of that type, if all goes well. */
async function get(session: Session, expected: number, request: Request): Promise<Reply> {
  const reply = await session.request(request);
  if (reply.type === expected) return reply;
  const failure = failureIn(reply);
  throw failure ?? invalidReply('the server agreed, and did not answer');
}

/** An open file of a server. */
export type Handle = Uint8Array;

/** Opens a file. @param flags bits of `Open`. */
export async function open(session: Session, path: string, flags: number, mode?: number): Promise<Handle> {
  const attributes = attributeParts(mode === undefined ? {} : { mode });
  const { content } = await get(session, Type.handle, { type: Type.open, parts: [path, [4, flags], ...attributes] });
  return content.bytes();
}

/** Closes a file; what was written may fail only now. */
export function close(session: Session, handle: Handle): Promise<void> {
  return ask(session, { type: Type.close, parts: [handle], changes: true });
}

/** Reads; gives how many bytes came, at least 1. @throws StatusError with the code `endOfFile` at the end. */
export async function read(session: Session, handle: Handle, offset: number, into: Uint8Array): Promise<number> {
  const parts: readonly Part[] = [handle, [8, offset], [4, into.length]];
  const { length } = await get(session, Type.data, { type: Type.read, parts, into });
  if (length === 0) throw invalidReply('the server sent no data');
  return length;
}

/** Writes all of the bytes. */
export function write(session: Session, handle: Handle, offset: number, data: Uint8Array): Promise<void> {
  return ask(session, { type: Type.write, parts: [handle, [8, offset]], data, changes: true });
}

async function attributesOf(session: Session, type: number, of: Part): Promise<Attributes> {
  return (await get(session, Type.attributes, { type, parts: [of] })).content.attributes();
}

/** What an open file is. */
export const fstat = (session: Session, handle: Handle): Promise<Attributes> =>
  attributesOf(session, Type.fstat, handle);

/** What a name leads to. */
export const stat = (session: Session, path: string): Promise<Attributes> => attributesOf(session, Type.stat, path);

/** What a name is, if it is a link. */
export const lstat = (session: Session, path: string): Promise<Attributes> => attributesOf(session, Type.lstat, path);

/** Gives an open file a size. */
export function resize(session: Session, handle: Handle, size: number): Promise<void> {
  return ask(session, { type: Type.fsetstat, parts: [handle, ...attributeParts({ size })], changes: true });
}

/** Gives a file owner and permissions. */
export function change(session: Session, path: string, attributes: Pick<Attributes, 'owner' | 'mode'>): Promise<void> {
  return ask(session, { type: Type.setstat, parts: [path, ...attributeParts(attributes)], changes: true });
}

/** Removes a file. */
export function remove(session: Session, path: string): Promise<void> {
  return ask(session, { type: Type.remove, parts: [path], changes: true });
}

/** Gives a file another name, which is free. */
export function rename(session: Session, from: string, to: string): Promise<void> {
  return ask(session, { type: Type.rename, parts: [from, to], changes: true });
}

/** Gives a file another name, in the place of whatever has it (OpenSSH's PROTOCOL, 4.3). */
export function replace(session: Session, from: string, to: string): Promise<void> {
  return ask(session, { type: Type.extended, parts: [Extension.posixRename, from, to], changes: true });
}

/** The absolute name that a name stands for, without links (section 6.11). */
export async function realpath(session: Session, path: string): Promise<string> {
  const { content } = await get(session, Type.name, { type: Type.realpath, parts: [path] });
  if (content.uint32() !== 1) throw invalidReply('the server gave not one name');
  return content.text();
}

/** Makes what was written to a file safe (OpenSSH's PROTOCOL, 4.6). */
export function fsync(session: Session, handle: Handle): Promise<void> {
  return ask(session, { type: Type.extended, parts: [Extension.fsync, handle], changes: true });
}

/** Bytes that can still be written to the file system of a file (OpenSSH's PROTOCOL, 4.4). */
export async function freeSpace(session: Session, handle: Handle): Promise<number> {
  const request = { type: Type.extended, parts: [Extension.fstatvfs, handle] };
  const { content } = await get(session, Type.extendedReply, request);
  const [, fragment = 0, , , available = 0] = [0, 0, 0, 0, 0].map(() => content.uint64());
  return fragment * available;
}
