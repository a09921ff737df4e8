/** Growth: how time or memory of a command becomes more with data and metadata. */
import { convert } from './rows/convert.mjs';
import { runRow } from './run.mjs';

/** @typedef {import('./types.ts').Row} Row */
/** @typedef {import('./types.ts').Side} Side */

/** Beside linear growth of time, and beside none of memory. */
const MOST_GROWTH = 1.25;

/**
 * @typedef {object} Growth
 * @property {string} name
 * @property {'time' | 'memory'} what
 * @property {readonly number[]} amounts
 * @property {(amount: number) => Row} row
 */

const image = (/** @type {number} */ amount) => `metadata-${amount}.qcow2`;

/** @type {readonly Growth[]} */
export const growths = [
  {
    name: 'check, GiB preallocated',
    what: 'time',
    amounts: [64, 128, 256],
    row: (amount) => ({ name: '', argv: ['check', image(amount)], needs: [image(amount)] }),
  },
  {
    name: 'map, GiB preallocated',
    what: 'time',
    amounts: [64, 128, 256],
    row: (amount) => ({ name: '', argv: ['map', '--output=json', image(amount)], needs: [image(amount)] }),
  },
  {
    name: 'snapshot -c, GiB preallocated',
    what: 'time',
    amounts: [64, 128, 256],
    row: (amount) => ({
      name: '',
      argv: ['snapshot', '-c', 'new', 'copy.qcow2'],
      copies: [[image(amount), 'copy.qcow2']],
    }),
  },
  {
    name: 'convert, sizes of the test disk',
    what: 'time',
    amounts: [1, 2, 4],
    row: (amount) => convert(`times-${amount}.raw`, 'out.qcow2', { verify: [] }),
  },
  ...['convert', 'check', 'compare'].map((verb) => ({
    name: `${verb}, GiB with 256 MiB of data`,
    what: /** @type {const} */ ('memory'),
    amounts: [64, 8192],
    row: (/** @type {number} */ amount) => {
      const from = `sparse-${amount}.qcow2`;
      if (verb === 'convert') return convert(from, 'out.qcow2', {});
      return { name: '', argv: verb === 'check' ? ['check', from] : ['compare', from, from], needs: [from] };
    },
  })),
];

/**
 * What starting takes, which does not grow.
 * @type {Row}
 */
export const START = { name: '', argv: ['info', 'small.qcow2'], needs: ['small.qcow2'] };

/**
 * Measures a command with each amount.
 * @param {Growth} growth
 * @param {Parameters<typeof runRow>[1]} how
 * @returns {Promise<import('./types.ts').GrowthResult>}
 */
export async function runGrowth({ name, what, amounts, row }, how) {
  const base = { kind: /** @type {const} */ ('growth'), group: how.group, name, what, amounts, goal: MOST_GROWTH };
  /** @type {Partial<Record<Side, number[]>>} */
  const sides = {};
  const start = await runRow(START, how);
  for (const amount of amounts) {
    const result = await runRow(row(amount), how);
    if (result.failed !== undefined) return { ...base, sides, failed: result.failed };
    for (const { side } of how.programs) {
      const figures = result.sides[side];
      const before = Math.min(...(start.sides[side]?.cpu ?? []));
      const value = what === 'time' ? Math.min(...(figures?.cpu ?? [])) - before : (figures?.memory ?? Number.NaN);
      (sides[side] ??= []).push(Math.max(value, 0.1));
    }
  }
  return { ...base, sides };
}

/**
 * The growth beside what is expected, from the least to the greatest amount: 1 is linear (time) or none (memory).
 * @param {import('./types.ts').GrowthResult} growth
 * @param {Side} side
 */
export function growthOf({ what, amounts, sides }, side) {
  const ratio = (/** @type {readonly number[]} */ of = []) => of[of.length - 1] / of[0];
  return what === 'time' ? ratio(sides[side]) / ratio(amounts) : ratio(sides[side]);
}
