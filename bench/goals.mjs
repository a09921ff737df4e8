/** Ratios, and whether goals are met. */
import { growthOf } from './growth.mjs';

/** @typedef {import('./types.ts').Result} Result */
/** @typedef {import('./types.ts').RowResult} RowResult */
/** @typedef {import('./types.ts').Figures} Figures */
/** @typedef {import('./types.ts').Side} Side */

/**
 * What a program of ours reached, beside what it should.
 * @typedef {object} Verdict
 * @property {'time' | 'size' | 'memory' | 'growth'} what
 * @property {number} value
 * @property {number} goal
 * @property {string} unit
 * @property {boolean} met
 */

/** Most memory of any command, MiB: under Node, and as one file. */
const MEMORY = { node: 256, against: 256, standalone: 200, real: Number.POSITIVE_INFINITY };
/** Programs whose goals count. */
const OWN = /** @type {const} */ (['node', 'standalone', 'against']);

/** @param {readonly number[] | undefined} values */
export function fastest(values = []) {
  return values.length > 0 ? Math.min(...values) : Number.NaN;
}

/** @param {readonly number[] | undefined} values */
function median(values = []) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Figures of a program as ratios to those of the real one.
 * @param {RowResult} row
 * @param {Side} side
 */
export function ratiosOf(row, side) {
  const ours = row.sides[side];
  const theirs = row.sides.real;
  const empty = row.empty?.[side];
  return {
    fastest: fastest(ours?.wall) / fastest(theirs?.wall),
    median: median(ours?.wall) / median(theirs?.wall),
    cpu: fastest(ours?.cpu) / fastest(theirs?.cpu),
    size: (ours?.size ?? Number.NaN) / (theirs?.size ?? Number.NaN),
    empty: empty ? fastest(ours?.wall) / fastest(empty.wall) : Number.NaN,
  };
}

/** @type {(what: Verdict['what'], value: number, goal: number, unit?: string) => Verdict} */
function verdict(what, value, goal, unit = '') {
  return { what, value, goal, unit, met: value <= goal };
}

/** @returns {Verdict[]} */
function ofRow(/** @type {RowResult} */ row, /** @type {Side} */ side) {
  const { goal = {} } = row;
  const ratios = ratiosOf(row, side);
  const verdicts = [];
  const index = side === 'standalone' ? 1 : 0;
  if (goal.wall && goal.of === 'empty') {
    if (!Number.isNaN(ratios.empty))
      verdicts.push(verdict('time', ratios.empty, goal.wall[index], ' of an empty start'));
  } else if (goal.wall) verdicts.push(verdict('time', ratios.fastest, goal.wall[index]));
  if (goal.milliseconds !== undefined)
    verdicts.push(verdict('time', fastest(row.sides[side]?.wall), goal.milliseconds, ' ms'));
  if (goal.size !== undefined) verdicts.push(verdict('size', ratios.size, goal.size));
  const memory = row.sides[side]?.memory;
  if (memory !== undefined && memory > MEMORY[side]) verdicts.push(verdict('memory', memory, MEMORY[side], ' MiB'));
  return verdicts;
}

/**
 * Programs of ours that a result has figures of.
 * @param {Result} result
 * @returns {Side[]}
 */
export function ownSides(result) {
  if (result.kind === 'simulated') return ['node'];
  return OWN.filter((side) => result.sides[side] !== undefined);
}

/**
 * The goals of a result, for one program of ours. Memory is only there where it is too much.
 * @param {Result} result
 * @param {Side} side
 * @returns {Verdict[]}
 */
export function verdictsOf(result, side) {
  if (result.kind !== 'simulated' && (result.failed !== undefined || result.skipped !== undefined)) return [];
  if (result.kind === 'row') return ofRow(result, side);
  if (result.kind === 'simulated') return [verdict('time', result.wall / result.ideal, result.goal, ' of the ideal')];
  const values = result.sides[side] ?? [];
  // What the machine does with more data (writing back, for one), it does to both programs.
  const allowed = result.what === 'time' ? Math.max(1, growthOf(result, 'real')) : 1;
  const growth = [verdict('growth', growthOf(result, side) / allowed, result.goal)];
  const most = Math.max(...values);
  return result.what === 'memory' && most > MEMORY[side]
    ? [...growth, verdict('memory', most, MEMORY[side], ' MiB')]
    : growth;
}

/**
 * A verdict in words.
 * @param {Verdict} verdict
 */
export function verdictText({ what, value, goal, unit, met }) {
  const digits = unit.endsWith(' ms') || unit.endsWith(' MiB') ? 0 : 2;
  const start = `${what === 'time' ? '' : `${what} `}${value.toFixed(digits)}${unit}, goal ${goal.toFixed(digits)}`;
  return met ? `${start}: met` : `${start}: missed by ${Math.max(1, Math.round((value / goal - 1) * 100))} %`;
}
