/**
 * `blkdebug`: errors on demand and other limits in front of a file, for tests of what is above. Options as in QEMU's
 * manual, `-blockdev driver=blkdebug`, and docs/devel/testing/blkdebug. Events that rules wait for are raised by nodes and by
 * formats (`Storage.debugEvent`).
 */
import { BlockError, invalidArgument } from '../../base/error.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { coerceTree } from '../../block/graph/openOptions.ts';
import { flatten, optionText } from '../../options/dotted.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Limits } from '../../storage/storage.ts';
import { RuleList } from './ruleOptions.ts';
import { RuleStorage } from './rules.ts';

const openOptions = {
  config: { kind: 'string', help: 'File with rules' },
  align: { kind: 'size', help: 'Alignment that requests need, in bytes' },
  'max-transfer': { kind: 'size', help: 'Largest transfer in bytes' },
  'opt-write-zero': { kind: 'size', help: 'Best alignment for writing zeroes, in bytes' },
  'max-write-zero': { kind: 'size', help: 'Most bytes that are zeroed at once' },
  'opt-discard': { kind: 'size', help: 'Best alignment for discarding, in bytes' },
  'max-discard': { kind: 'size', help: 'Most bytes that are discarded at once' },
} as const satisfies OptionTable;

/** Permissions that other users of the node below are to have, or not to have. */
const PERMISSIONS = ['consistent-read', 'write', 'write-unchanged', 'resize'];
const PERMISSION_LIST = /^(?:take|unshare)-child-perms\.(\d+)$/;

/** Limits of requests are numbers of 31 bits. */
const MOST = 2 ** 31;

/** What {@link openOptions} make of the limits below. */
function limitsFrom(options: OptionValues<typeof openOptions>, below: Limits): Limits {
  const { align = 0 } = options;
  if (align >= MOST || (align > 0 && !Number.isInteger(Math.log2(align)))) {
    throw invalidArgument(`Cannot meet constraints with align ${align}`);
  }
  const unit = Math.max(1, align);
  const checked = (name: Exclude<keyof typeof openOptions, 'config'>, multiple: number): number | undefined => {
    const value = options[name];
    if (value === undefined || value === 0) return undefined;
    if (value < MOST && value % multiple === 0) return value;
    throw invalidArgument(`Cannot meet constraints with ${name} ${value}`);
  };
  const maxTransfer = checked('max-transfer', unit);
  const writeZeroesAlignment = checked('opt-write-zero', unit);
  const maxWriteZeroes = checked('max-write-zero', writeZeroesAlignment ?? unit);
  const discardAlignment = checked('opt-discard', unit);
  const maxDiscard = checked('max-discard', discardAlignment ?? unit);
  const { writeZeroesAlignment: _, maxWriteZeroes: __, ...kept } = below;
  return {
    ...kept,
    ...(align > 0 ? { requestAlignment: align } : {}),
    ...(maxTransfer === undefined ? {} : { maxTransfer }),
    ...(writeZeroesAlignment === undefined ? {} : { writeZeroesAlignment }),
    ...(maxWriteZeroes === undefined ? {} : { maxWriteZeroes }),
    ...(discardAlignment === undefined ? {} : { discardAlignment }),
    ...(maxDiscard === undefined ? {} : { maxDiscard }),
  };
}

/**
 * Takes the lists of permissions out of options.
 * @returns the other options. Other users share this program only, so there is nobody to keep from writing; but what is to
 * be written has to be writable.
 */
function withoutPermissions(options: OptionTree, readOnly: boolean): OptionTree {
  const leaves = flatten(options);
  for (const list of ['take-child-perms', 'unshare-child-perms']) {
    const items = leaves.filter(([name]) => PERMISSION_LIST.test(name) && name.startsWith(list));
    const last = Math.max(-1, ...items.map(([name]) => Number(PERMISSION_LIST.exec(name)?.[1])));
    if (last >= items.length) {
      throw invalidArgument(`List indices are not contiguous, saw ${items.length} elements but ${last} largest index`);
    }
    for (const [, value] of items) {
      if (!PERMISSIONS.includes(optionText(value)))
        throw invalidArgument(`Parameter 'null' does not accept value '${optionText(value)}'`);
      if (readOnly && list === 'take-child-perms' && value !== 'consistent-read')
        throw new BlockError('read-only', 'Block node is read-only');
    }
  }
  return Object.fromEntries(leaves.filter(([name]) => !PERMISSION_LIST.test(name)));
}

async function open(context: FilterContext): Promise<RuleStorage> {
  const { below, options, readOnly } = context;
  const rules = new RuleList();
  const given = flatten(options).find(([name]) => name === 'config')?.[1];
  if (typeof given === 'string') rules.addFile(await context.readFile(given));
  const others = rules.addOptions(options);
  const { values, unknown } = coerceTree(openOptions, withoutPermissions(others, readOnly));
  const limits = limitsFrom(values, below.limits);
  if (unknown !== undefined) throw invalidArgument(`Block protocol 'blkdebug' doesn't support the option '${unknown}'`);
  return new RuleStorage(below, rules, limits);
}

/** The filter. Its names are `blkdebug:RULES:FILE`; `RULES` is the name of a file, or nothing. */
export const blkdebug: FilterDriver = {
  name: 'blkdebug',
  roles: [{ role: 'image', alias: 'x-image' }],
  weak: PERMISSION_LIST,
  names: {
    parse: (name) => {
      const [, config = '', ...file] = name.split(':');
      if (file.length === 0) throw invalidArgument('blkdebug requires both config file and image path');
      return { options: config === '' ? {} : { config }, children: { image: file.join(':') } };
    },
    print: (options, { image = '' }) => {
      const { config, ...others } = options;
      const plain = Object.keys(others).length === 0;
      // Null is as good as nothing.
      const rules = config ?? '';
      return plain && typeof rules === 'string' ? `blkdebug:${rules}:${image}` : undefined;
    },
  },
  open,
};
