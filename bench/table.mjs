/** The table that the bench prints while it goes. */
import { fastest, ownSides, ratiosOf, verdictsOf, verdictText } from './goals.mjs';
import { growthOf } from './growth.mjs';

/** @typedef {import('./types.ts').Result} Result */

/**
 * A number with some digits; nothing where there is none.
 * @param {number | undefined} value
 * @param {number} [digits]
 */
export function number(value, digits = 0) {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}

const WIDTHS = [50, 11, 8, 8, 8, 9, 9, 9, 8];

function line(/** @type {readonly string[]} */ columns) {
  const cell = (/** @type {string} */ text, /** @type {number} */ i) =>
    i < 2 ? text.padEnd(WIDTHS[i]) : i < WIDTHS.length ? text.padStart(WIDTHS[i]) : `  ${text}`;
  return columns.map(cell).join('').trimEnd();
}

/** The names of the columns. Ratios are to the real program, below 1 where qimg is better. */
export const heading = line([
  'row',
  'program',
  'fastest',
  'median',
  'cpu',
  'ms',
  'real ms',
  'peak MiB',
  'size',
  'goal',
]);

/**
 * The lines of a result: one for each program of ours.
 * @param {Result} result
 * @returns {string[]}
 */
export function linesOf(result) {
  const name = `${result.group}: ${result.name}`;
  if (result.kind === 'simulated') {
    const { wall, average, most } = result;
    const goals = verdictsOf(result, 'node').map(verdictText).join('; ');
    return [
      line([name, 'library']) + `  ${number(wall)} ms, ${number(average, 1)} in flight, at most ${most}; ${goals}`,
    ];
  }
  if (result.skipped !== undefined) return [`${line([name, ''])} skipped: ${result.skipped}`];
  if (result.failed !== undefined) return [`${line([name, ''])} FAILED: ${result.failed}`];
  return ownSides(result).map((side) => {
    const goals = verdictsOf(result, side).map(verdictText).join('; ');
    if (result.kind === 'growth') {
      const real = growthOf(result, 'real');
      const values = (result.sides[side] ?? []).map((value) => number(value)).join(', ');
      const unit = result.what === 'time' ? 'ms cpu' : 'MiB';
      return `${line([name, side])}  ${values} ${unit}; real ${number(real, 2)}; ${goals}`;
    }
    const ratios = ratiosOf(result, side);
    return line([
      name,
      side,
      number(ratios.fastest, 2),
      number(ratios.median, 2),
      number(ratios.cpu, 2),
      number(fastest(result.sides[side]?.wall)),
      number(fastest(result.sides.real?.wall)),
      number(result.sides[side]?.memory),
      number(ratios.size, 3),
      goals,
    ]);
  });
}
