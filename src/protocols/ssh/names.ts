/** Names of files of a server: what they refer to, removing files, and files that get their name when they are complete. */
import { asBlockError, BlockError } from '../../base/error.ts';
import type { ProtocolNames } from '../../block/protocol.ts';
import type { Services } from '../../block/services.ts';
import type { FileDraft, FileStatus } from '../../storage/files.ts';
import { type Address, addressOf, parseName, type Place } from './address.ts';
import { withSession } from './connections.ts';
import { Extension, Open } from './numbers.ts';
import type { Attributes } from './packets.ts';
import type { Session } from './session.ts';
import * as sftp from './sftp.ts';

/** Permissions of new files. */
export const MODE: number = 0o644;

/** Those of a file that is going to replace another, until it has the other's owner. */
const PRIVATE = 0o600;

/** Types in `st_mode`. */
const KINDS: Readonly<Record<number, FileStatus['kind']>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o060000: 'block-device',
  0o020000: 'character-device',
  0o010000: 'fifo',
  0o140000: 'socket',
};

/** What the attributes of a file make of it. Servers that do not say have files only. */
export function kindOf({ mode }: Attributes): FileStatus['kind'] {
  const type = (mode ?? 0) & 0o170000;
  return type === 0 ? 'file' : (KINDS[type] ?? 'other');
}

/** Equal for two names of one file, but for hard links: servers do not tell these. */
export function identityOf({ host, port, user }: Place, real: string): string {
  return `ssh:${JSON.stringify([host, port, user])}${real}`;
}

const addressOfName = (name: string): Address => addressOf(parseName(name));

/** The names of the protocol. */
export const sshNames: ProtocolNames = {
  status(services, name) {
    const { place, path } = addressOfName(name);
    return withSession(services, place, (session) => statusOf(session, place, path));
  },
  remove(services, name) {
    const { place, path } = addressOfName(name);
    return withSession(services, place, (session) => named('remove', path, () => sftp.remove(session, path)));
  },
  draft: startDraft,
};

async function statusOf(session: Session, place: Place, path: string): Promise<FileStatus | undefined> {
  let attributes: Attributes;
  try {
    attributes = await sftp.stat(session, path);
  } catch (thrown) {
    const free = asBlockError(thrown).kind === 'not-found' && !path.endsWith('/');
    if (free && (await isFree(session, path))) return undefined;
    throw asBlockError(thrown).prepend(`failed to look at remote file '${path}': `);
  }
  const { size = 0, times } = attributes;
  const kind = kindOf(attributes);
  return {
    kind,
    size: kind === 'file' ? size : 0,
    identity: identityOf(place, await sftp.realpath(session, path)),
    ...(times ? { times: { ...times, changed: times.modified } } : {}),
  };
}

/** False if the name is that of a link to nowhere. */
async function isFree(session: Session, path: string): Promise<boolean> {
  try {
    await sftp.lstat(session, path);
    return false;
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.kind === 'not-found') return true;
    throw error;
  }
}

/** Runs `body`; its errors say what was to be done with which file. */
export async function named<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (thrown) {
    if (!(thrown instanceof sftp.StatusError)) throw thrown;
    throw thrown.prepend(`failed to ${action} remote file '${path}': `);
  }
}

/** The name of a file in the place of another one's name. */
function withPath(name: string, path: string): string {
  const [, front = '', , behind = ''] = /^(ssh:\/\/[^/?#]*)([^?#]*)(.*)$/s.exec(name) ?? [];
  const escaped = path.replace(/[%?#]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
  return `${front}${escaped}${behind}`;
}

/** A file beside the one that it is going to become. */
async function startDraft(services: Services, name: string, replace: boolean): Promise<FileDraft> {
  const { place, path } = addressOfName(name);
  return withSession(services, place, async (session) => {
    if (replace && !session.extensions.has(Extension.posixRename)) {
      throw new BlockError('unsupported', `Could not create '${name}': the server cannot replace files`);
    }
    // Links stay where they are: what they lead to is replaced.
    const final = replace ? await sftp.realpath(session, path) : path;
    const at = temporaryName(services, final);
    const flags = Open.write | Open.create | Open.exclusive;
    await named('create', path, async () => {
      await sftp.close(session, await sftp.open(session, at, flags, replace ? PRIVATE : MODE));
      if (replace) await adopt(session, at, await sftp.stat(session, final));
    });
    return {
      at: withPath(name, at),
      publish: () => withSession(services, place, (s) => named('create', path, () => publish(s, at, final))),
      discard: () => withSession(services, place, (s) => named('remove', at, () => sftp.remove(s, at))),
    };
  });
}

function publish(session: Session, at: string, final: string): Promise<void> {
  if (session.extensions.has(Extension.posixRename)) return sftp.replace(session, at, final);
  return sftp.rename(session, at, final);
}

/** Gives a new file the owner of another one, if that is possible, and its permissions. */
async function adopt(session: Session, path: string, { owner, mode }: Attributes): Promise<void> {
  if (owner) await sftp.change(session, path, { owner }).catch(() => undefined);
  if (mode !== undefined) await sftp.change(session, path, { mode: mode & 0o7777 });
}

function temporaryName(services: Services, path: string): string {
  const random = new Uint8Array(8);
  services.random(random);
  const digits = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${path.slice(0, path.lastIndexOf('/') + 1)}.qimg-${digits}.part`;
}
