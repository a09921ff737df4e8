/** Names of files: what they refer to, removing files, and files that get their name when they are complete. */
import { asBlockError } from '../../base/error.ts';
import type { ProtocolNames } from '../../block/protocol.ts';
import type { Services } from '../../block/services.ts';
import type { FileDraft, FileStatus } from '../../storage/files.ts';

/** The names of a protocol of files. @param pathOf the file's name in a name with or without a prefix. */
export function fileNames(pathOf: (name: string) => string): ProtocolNames {
  return {
    status: ({ files }, name) => statusOf(files, pathOf(name)),
    remove: ({ files }, name) => files.remove(pathOf(name)),
    settle: async ({ files }, name) => files.settle?.(pathOf(name)),
    draft: (services, name, replace) => draftOf(services, pathOf(name), replace),
  };
}

async function statusOf(files: Services['files'], path: string): Promise<FileStatus | undefined> {
  try {
    return await files.status(path);
  } catch (thrown) {
    const free = asBlockError(thrown).kind === 'not-found' && path !== '' && !path.endsWith('/');
    if (free && !(await isListed(files, path))) return undefined;
    throw thrown;
  }
}

/** True if the directory has such an entry although it leads to no file (a link to nowhere), or if that is unknown. */
async function isListed(files: Services['files'], path: string): Promise<boolean> {
  const slash = path.lastIndexOf('/');
  try {
    const names = await files.list(slash < 0 ? '.' : path.slice(0, slash + 1));
    return names.includes(path.slice(slash + 1));
  } catch (thrown) {
    return asBlockError(thrown).kind !== 'not-found';
  }
}

/** A file of the host without a name, or with a temporary one where the host has nothing better. */
async function draftOf(services: Services, path: string, replace: boolean): Promise<FileDraft> {
  const { files } = services;
  if (files.draft) return files.draft(path, replace);
  const at = temporaryName(services, path);
  return { at, publish: () => files.rename(at, path), discard: () => files.remove(at) };
}

function temporaryName(services: Services, path: string): string {
  const random = new Uint8Array(8);
  services.random(random);
  const digits = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${path.slice(0, path.lastIndexOf('/') + 1)}.qimg-${digits}.part`;
}
