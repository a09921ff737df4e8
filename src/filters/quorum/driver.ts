/** `quorum`: several copies of one disk. All get what is written; what is read is what enough of them agree about. */
import { BlockError, invalidArgument, ioError } from '../../base/error.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { coerceTree, filterValues } from '../../block/graph/openOptions.ts';
import type { OptionTable } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { VotingStorage } from './voting.ts';

const openOptions = {
  'vote-threshold': { kind: 'number', help: 'How many copies have to agree' },
  blkverify: { kind: 'bool', help: 'Ends where the two copies differ', default: false },
  'rewrite-corrupted': { kind: 'bool', help: 'Writes what the majority has over what the others have', default: false },
  'read-pattern': { kind: 'string', help: 'quorum, or fifo: the first copy that can be read', default: 'quorum' },
} as const satisfies OptionTable;

function check(options: OptionTree, roles: readonly string[]): void {
  const { 'vote-threshold': threshold = 0 } = coerceTree(openOptions, options).values;
  if (roles.length === 0) throw invalidArgument('Number of provided children must be 1 or more');
  if (Number(threshold) < 1) throw invalidArgument("Parameter 'vote-threshold' expects a value >= 1");
  if (Number(threshold) > roles.length) throw invalidArgument('threshold may not exceed children count');
}

async function open({ children, options, readOnly }: FilterContext): Promise<VotingStorage> {
  const copies = children.map(({ node }) => node);
  const values = filterValues('quorum', openOptions, options);
  const { 'vote-threshold': threshold = 1, 'read-pattern': pattern } = values;
  if (pattern !== 'quorum' && pattern !== 'fifo') {
    throw invalidArgument('Please set read-pattern as fifo or quorum');
  }
  const votes = pattern === 'quorum';
  const verifies = votes && values.blkverify;
  if (verifies && (copies.length !== 2 || threshold !== 2)) {
    throw invalidArgument('blkverify=on can only be set if there are exactly two files and vote-threshold is 2');
  }
  const rewrites = votes && values['rewrite-corrupted'];
  if (rewrites && verifies) {
    throw invalidArgument('rewrite-corrupted=on cannot be used with blkverify=on');
  }
  if (rewrites && readOnly) throw new BlockError('read-only', 'Block node is read-only');
  if (copies.some((copy) => copy.size() !== copies[0]?.size())) {
    throw ioError().prepend('Could not refresh total sector count: ');
  }
  return new VotingStorage(copies, { threshold, votes, verifies, rewrites });
}

/** The filter. */
export const quorum: FilterDriver = {
  name: 'quorum',
  roles: [{ role: 'children', many: true, image: true }],
  opaque: true,
  placeless: true,
  check,
  open,
};
