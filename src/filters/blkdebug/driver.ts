/**
 * `blkdebug`: errors on demand and other limits in front of a file, for tests of what is above. Options as in QEMU's
 * manual, `-blockdev driver=blkdebug`. Errors come with kinds of requests (`iotype`) and places (`sector`). Events inside
 * of format drivers are not raised here, so rules that wait for one are refused.
 */
import { invalidArgument, unsupported } from '../../base/error.ts';
import { linuxError } from '../../base/posix.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { coerceTree } from '../../block/graph/openOptions.ts';
import { coerceLeaf } from '../../options/coerce.ts';
import { flatten } from '../../options/dotted.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Limits, Storage } from '../../storage/storage.ts';
import { type Rule, RuleStorage } from './rules.ts';

const openOptions = {
  align: { kind: 'size', help: 'Alignment that requests need, in bytes' },
  'max-transfer': { kind: 'size', help: 'Largest transfer in bytes' },
  'opt-write-zero': { kind: 'size', help: 'Best alignment for writing zeroes, in bytes' },
  'max-write-zero': { kind: 'size', help: 'Most bytes that are zeroed at once' },
  'opt-discard': { kind: 'size', help: 'Best alignment for discarding, in bytes' },
  'max-discard': { kind: 'size', help: 'Most bytes that are discarded at once' },
} as const satisfies OptionTable;

const ruleOptions = {
  event: { kind: 'string', help: 'When the rule begins to count' },
  state: { kind: 'number', help: 'State in which the rule counts' },
  iotype: { kind: 'string', help: 'Kind of request that fails' },
  errno: { kind: 'number', help: 'Number of the error (Linux)' },
  sector: { kind: 'number', help: 'Only requests that touch this sector' },
  once: { kind: 'bool', help: 'Whether the rule ends with its first error' },
  immediately: { kind: 'bool', help: 'Whether the error comes before other requests have their turn' },
} as const satisfies OptionTable;

const IO_TYPES = ['read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status'] as const;
const EIO = 5;
/** The state before any event. */
const FIRST_STATE = 1;
/** Limits of requests are numbers of 31 bits. */
const MOST = 2 ** 31;

/** A rule from the options of one number below `inject-error`. */
function ruleFrom(leaves: readonly (readonly [string, OptionTree[string]])[]): Rule | undefined {
  const given: Record<string, string | number | boolean> = {};
  for (const [name, leaf] of leaves) {
    const spec = Object.hasOwn(ruleOptions, name) ? ruleOptions[name as keyof typeof ruleOptions] : undefined;
    if (!spec) throw invalidArgument(`[inject-error] section doesn't support the option '${name}'`);
    given[name] = coerceLeaf(name, spec.kind, leaf);
  }
  const {
    event,
    state = 0,
    iotype,
    errno = EIO,
    sector = -1,
    once = false,
  } = given as OptionValues<typeof ruleOptions>;
  if (event === undefined) throw invalidArgument('Missing event name for rule');
  if (event !== 'none') throw unsupported(`Rules for the event '${event}' are not supported`);
  if (iotype !== undefined && !IO_TYPES.some((type) => type === iotype))
    throw invalidArgument(`invalid parameter value: ${iotype}`);
  if (state !== 0 && state !== FIRST_STATE) return undefined;
  const type = IO_TYPES.find((candidate) => candidate === iotype);
  return { error: errno === 0 ? undefined : linuxError(errno), once, ...(type ? { type } : {}), sector };
}

/** Rules are numbered from 0 on without gaps; what does not fit is left over, and refused. */
function rulesFrom(leaves: readonly (readonly [string, OptionTree[string]])[]): Rule[] {
  const byNumber = new Map<string, (readonly [string, OptionTree[string]])[]>();
  for (const [path, leaf] of leaves) {
    const end = path.indexOf('.');
    const number = path.slice(0, end);
    byNumber.set(number, [...(byNumber.get(number) ?? []), [path.slice(end + 1), leaf]]);
  }
  const rules: Rule[] = [];
  for (let number = 0; byNumber.has(String(number)); number++) {
    const rule = ruleFrom(byNumber.get(String(number)) ?? []);
    byNumber.delete(String(number));
    if (rule) rules.push(rule);
  }
  for (const [number, [left]] of byNumber)
    throw invalidArgument(`Unused option '${number}.${left?.[0]}' for [inject-error]`);
  return rules;
}

/** What {@link openOptions} make of the limits below. */
function limitsFrom(options: OptionValues<typeof openOptions>, below: Limits): Limits {
  const { align = 0 } = options;
  if (align >= MOST || (align > 0 && !Number.isInteger(Math.log2(align)))) {
    throw invalidArgument(`Cannot meet constraints with align ${align}`);
  }
  const unit = Math.max(1, align);
  const checked = (name: keyof typeof openOptions, multiple: number): number | undefined => {
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
  return {
    ...below,
    ...(align > 0 ? { requestAlignment: align } : {}),
    ...(maxTransfer === undefined ? {} : { maxTransfer }),
    ...(writeZeroesAlignment === undefined ? {} : { writeZeroesAlignment }),
    ...(maxWriteZeroes === undefined ? {} : { maxWriteZeroes }),
    ...(discardAlignment === undefined ? {} : { discardAlignment }),
    ...(maxDiscard === undefined ? {} : { maxDiscard }),
  };
}

function open(below: Storage, options: OptionTree): RuleStorage {
  const own: [string, OptionTree[string]][] = [];
  const injected: [string, OptionTree[string]][] = [];
  for (const [name, leaf] of flatten(options)) {
    const rule = /^inject-error\.(.*\..*)$/.exec(name)?.[1];
    if (rule === undefined) own.push([name, leaf]);
    else injected.push([rule, leaf]);
  }
  const rules = rulesFrom(injected);
  const { values, unknown } = coerceTree(openOptions, Object.fromEntries(own));
  if (unknown !== undefined) throw invalidArgument(`Block protocol 'blkdebug' doesn't support the option '${unknown}'`);
  return new RuleStorage(below, rules, limitsFrom(values, below.limits));
}

/** The filter. Its names are `blkdebug::FILE`: a file of rules in the middle is refused, see above. */
export const blkdebug: FilterDriver = {
  name: 'blkdebug',
  child: 'image',
  names: {
    parse: (name) => {
      const [, config, ...file] = name.split(':');
      if (file.length === 0) throw invalidArgument('blkdebug requires both config file and image path');
      if (config !== '') throw unsupported(`Rules in a file ('${config}') are not supported`);
      return { options: {}, child: file.join(':') };
    },
    print: (options, child) => (Object.keys(options).length === 0 ? `blkdebug::${child}` : undefined),
  },
  open: async ({ below, options }: FilterContext) => open(below, options),
};
