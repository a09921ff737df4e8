/** Rules as options and files say them. */
import { invalidArgument } from '../../base/error.ts';
import { linuxError } from '../../base/posix.ts';
import { textOf } from '../../base/text.ts';
import { coerceLeaf } from '../../options/coerce.ts';
import { flatten } from '../../options/dotted.ts';
import { inOrder } from '../../options/order.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { DebugEvent } from '../../storage/storage.ts';
import type { ErrorRule, Rules, StateRule } from './rules.ts';

const errorOptions = {
  event: { kind: 'string', help: 'When the rule begins to count' },
  state: { kind: 'number', help: 'State in which the event counts' },
  iotype: { kind: 'string', help: 'Kind of request that fails' },
  errno: { kind: 'number', help: 'Number of the error (Linux)' },
  sector: { kind: 'number', help: 'Only requests that touch this sector' },
  once: { kind: 'bool', help: 'Whether the rule ends with its first error' },
  immediately: { kind: 'bool', help: 'Whether the error comes before other requests have their turn' },
} as const satisfies OptionTable;

const stateOptions = {
  event: { kind: 'string', help: 'When the state changes' },
  state: { kind: 'number', help: 'State in which the event counts' },
  new_state: { kind: 'number', help: 'The state from then on' },
} as const satisfies OptionTable;

const TABLES = { 'inject-error': errorOptions, 'set-state': stateOptions } as const;

/** Kinds of rules. */
type Section = keyof typeof TABLES;

const IO_TYPES = ['read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status'] as const;
const EIO = 5;

const EVENTS: ReadonlySet<string> = new Set<DebugEvent>([
  'cluster_alloc',
  'cluster_alloc_bytes',
  'cluster_alloc_space',
  'cluster_free',
  'cor_write',
  'cow_read',
  'cow_write',
  'empty_image_prepare',
  'flush_to_disk',
  'flush_to_os',
  'l1_grow_activate_table',
  'l1_grow_alloc_table',
  'l1_grow_write_table',
  'l1_shrink_free_l2_clusters',
  'l1_shrink_write_table',
  'l1_update',
  'l2_alloc_cow_read',
  'l2_alloc_write',
  'l2_load',
  'l2_update',
  'l2_update_compressed',
  'none',
  'pwritev',
  'pwritev_done',
  'pwritev_rmw_after_head',
  'pwritev_rmw_after_tail',
  'pwritev_rmw_head',
  'pwritev_rmw_tail',
  'pwritev_zero',
  'read_aio',
  'read_backing_aio',
  'read_compressed',
  'refblock_alloc',
  'refblock_alloc_hookup',
  'refblock_alloc_switch_table',
  'refblock_alloc_write',
  'refblock_alloc_write_blocks',
  'refblock_alloc_write_table',
  'refblock_load',
  'refblock_update',
  'refblock_update_part',
  'reftable_grow',
  'reftable_load',
  'reftable_update',
  'vmstate_load',
  'vmstate_save',
  'write_aio',
  'write_compressed',
]);

/** Rules that are being collected. */
export class RuleList implements Rules {
  readonly errors: ErrorRule[] = [];
  readonly states: StateRule[] = [];

  /**
   * Adds the rules of a file in the style of `-readconfig`: a line `[inject-error]` or `[set-state]` begins a rule, lines
   * `name = "value"` describe it.
   */
  addFile(content: Uint8Array): void {
    for (const { section, options } of sectionsOf(textOf(content))) {
      if (!isSection(section)) throw invalidArgument(`There is no option group '${section}'`);
      this.#add(section, [...options], (name) => invalidArgument(`Invalid parameter '${name}'`));
    }
  }

  /**
   * Adds the rules of options such as `inject-error.0.event`. Rules are numbered from 0 on without gaps; what does not fit is
   * left over, and refused.
   * @returns the options that are about something else.
   */
  addOptions(options: OptionTree): OptionTree {
    const left = flatten(options);
    for (const section of Object.keys(TABLES) as Section[]) {
      const own = left.filter(([name]) => name.startsWith(`${section}.`));
      this.#addNumbered(
        section,
        own.map(([name, leaf]) => [name.slice(section.length + 1), leaf] as const),
      );
    }
    return Object.fromEntries(left.filter(([name]) => !/^(inject-error|set-state)\./.test(name)));
  }

  #addNumbered(section: Section, leaves: readonly (readonly [string, OptionTree[string]])[]): void {
    const byNumber = new Map<string, (readonly [string, OptionTree[string]])[]>();
    for (const [path, leaf] of leaves) {
      const end = path.indexOf('.');
      const number = path.slice(0, end);
      if (end >= 0) byNumber.set(number, [...(byNumber.get(number) ?? []), [path.slice(end + 1), leaf]]);
    }
    for (let number = 0; byNumber.has(String(number)); number++) {
      const rule = byNumber.get(String(number)) ?? [];
      byNumber.delete(String(number));
      this.#add(section, rule, (name) => invalidArgument(`[${section}] section doesn't support the option '${name}'`));
    }
    for (const [number, [left]] of byNumber)
      throw invalidArgument(`Unused option '${number}.${left?.[0]}' for [${section}]`);
  }

  #add(
    section: Section,
    leaves: readonly (readonly [string, OptionTree[string]])[],
    unknown: (name: string) => Error,
  ): void {
    const table: OptionTable = TABLES[section];
    const given: Record<string, string | number | boolean> = {};
    for (const [name, leaf] of inOrder(leaves)) {
      const spec = Object.hasOwn(table, name) ? table[name] : undefined;
      if (!spec) throw unknown(name);
      given[name] = coerceLeaf(name, spec.kind, leaf);
    }
    if (section === 'inject-error') this.errors.push(errorRule(given));
    else this.states.push(stateRule(given));
  }
}

function isSection(name: string): name is Section {
  return Object.hasOwn(TABLES, name);
}

function eventOf(name: string | undefined): DebugEvent {
  if (name === undefined) throw invalidArgument('Missing event name for rule');
  if (!EVENTS.has(name)) throw invalidArgument(`invalid parameter value: ${name}`);
  return name as DebugEvent;
}

function errorRule(given: OptionValues<typeof errorOptions>): ErrorRule {
  const { state = 0, iotype, errno = EIO, sector = -1, once = false } = given;
  const event = eventOf(given.event);
  const type = IO_TYPES.find((candidate) => candidate === iotype);
  if (iotype !== undefined && type === undefined) throw invalidArgument(`invalid parameter value: ${iotype}`);
  const error = errno === 0 ? undefined : linuxError(errno);
  return { event, state, error, once, ...(type ? { type } : {}), sector };
}

function stateRule({ event, state = 0, new_state: next = 0 }: OptionValues<typeof stateOptions>): StateRule {
  return { event: eventOf(event), state, next };
}

/** The sections of a file. Of a line in a section the first word is a name; its value is what stands in quotes, or nothing. */
function* sectionsOf(text: string): Generator<{ section: string; options: Map<string, string> }> {
  let current: { section: string; options: Map<string, string> } | undefined;
  for (const line of text.split(/(?<=\n)/)) {
    if (/^\s*$/.test(line) || line.startsWith('#')) continue;
    const section = /^\[([^\]]{1,63})/.exec(line)?.[1];
    if (section !== undefined) {
      if (current) yield current;
      current = { section: /^(\S+) "[^"]+"$/.exec(section)?.[1] ?? section, options: new Map() };
      continue;
    }
    if (!current) throw invalidArgument('no group defined');
    const [, name = '', value = ''] = /^\s*(\S{1,63})(?:\s*=\s*"([^"]{1,1023})")?/.exec(line) ?? [];
    current.options.set(name, value);
  }
  if (current) yield current;
}
