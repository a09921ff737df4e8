/**
 * `tar` and `zip`: a file in an archive, as a storage to read. Members that are stored as they are can be read in any order, also
 * where the archive lies far away; compressed ones go from the beginning to the end (`src/storage/forward.ts`). An archive with
 * one disk is opened as that disk. Nothing is ever unpacked to the names that an archive has.
 */
import { BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import type { FilterContext, FilterDriver, FilterStorage } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import type { OptionTable } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { chosenMember } from './choice.ts';
import { DeflatedMember, SummedMember } from './content.ts';
import { type Member, StoredMember } from './member.ts';
import { tarMembers } from './tar.ts';
import { zipMembers } from './zip.ts';

const openOptions = {
  member: { kind: 'string', help: 'Which file of the archive (default: the only disk in it)' },
} as const satisfies OptionTable;

/** A path without what says that it begins here. */
function plain(path: string): string {
  return path.replace(/^(\.\/)+/, '');
}

/** The content of a member, read through the archive. */
function contentOf(context: FilterContext, member: Member): FilterStorage {
  const { below } = context;
  if (member.problem !== undefined) throw unsupported(`'${member.name}' in '${below.name}': ${member.problem}`);
  if (member.method === 'stored') {
    return member.sum === undefined ? new StoredMember(below, member) : new SummedMember(below, member, member.sum);
  }
  return new DeflatedMember(below, member, (input) => context.expand('deflate-raw', input), context.spool);
}

async function open(
  name: string,
  list: (file: Storage) => Promise<Member[]>,
  context: FilterContext,
): Promise<FilterStorage> {
  const { below, options } = context;
  if (!context.readOnly) throw new BlockError('read-only', `What is in a ${name} archive can only be read`);
  const { member: wanted } = filterValues(name, openOptions, options);
  const members = await list(below);
  if (wanted !== undefined) {
    const found = members.findLast((member) => plain(member.name) === plain(wanted));
    if (!found) throw invalidArgument(`There is no file '${wanted}' in '${below.name}'`);
    return contentOf(context, found);
  }
  const { probe } = context;
  const chosen = await chosenMember(members, {
    driver: name,
    archive: below.name,
    open: (member) => contentOf(context, member),
    probe,
  });
  return contentOf(context, chosen);
}

function archive(name: string, list: (file: Storage) => Promise<Member[]>): FilterDriver {
  return {
    name,
    roles: [{ role: 'file' }],
    opaque: true,
    unnamed: true,
    open: (context) => open(name, list, context),
  };
}

/** IEEE Std 1003.1 `pax`, with the members of GNU tar. */
export const tar: FilterDriver = archive('tar', tarMembers);

/** APPNOTE.TXT. */
export const zip: FilterDriver = archive('zip', zipMembers);
