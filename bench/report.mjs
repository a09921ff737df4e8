/** bench/RESULTS.md, made of the figures that `--json` kept. */
import fs from 'node:fs';
import { fastest, ownSides, ratiosOf, verdictsOf, verdictText } from './goals.mjs';
import { growthOf } from './growth.mjs';
import { number } from './table.mjs';

/** @typedef {import('./types.ts').Run} Run */
/** @typedef {import('./types.ts').Result} Result */
/** @typedef {import('./types.ts').RowResult} RowResult */
/** @typedef {import('./types.ts').Side} Side */
/** @typedef {{ readonly name: string, readonly side: Side, readonly result: Result }} Entry What one program did in one row. */

const TITLES = {
  start: 'Start-up',
  copy: 'Copying',
  coding: 'Coding',
  metadata: 'Checking, mapping, comparing, changing',
  ssh: 'Servers of SSH',
  reflink: 'File systems that share extents',
  shapes: 'Unusual images',
  formats: 'Other formats',
  scattered: '1 TiB with little data all over the place',
  growth: 'Growth',
  simulated: 'Simulated machines',
};

/** How far a program is from what it should be: the figure by which the worst of several runs is chosen. */
function badness(/** @type {Result} */ result, /** @type {Side} */ side) {
  const goals = verdictsOf(result, side).map(({ value, goal }) => value / goal);
  if (goals.length > 0) return Math.max(...goals);
  return result.kind === 'row' && !result.skipped ? ratiosOf(result, side).fastest : Number.POSITIVE_INFINITY;
}

/** The entries of all runs in the order of the first; of several runs of the same row the worst counts. */
function entriesOf(/** @type {readonly Run[]} */ runs) {
  /** @type {Map<string, Entry>} */
  const worst = new Map();
  for (const result of runs.flatMap(({ results }) => results)) {
    const sides = ownSides(result);
    for (const side of sides.length > 0 ? sides : /** @type {const} */ (['node'])) {
      const key = `${result.group}: ${result.name} (${side})`;
      const known = worst.get(key)?.result;
      if (known && badness(known, side) >= badness(result, side)) continue;
      worst.set(key, { name: result.name, side, result });
    }
  }
  return [...worst.values()];
}

function table(/** @type {readonly string[]} */ heading, /** @type {readonly (readonly string[])[]} */ rows) {
  const columns = heading.map((title, i) =>
    Math.max(3, ...[title, ...rows.map((row) => row[i])].map(({ length }) => length)),
  );
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell, i) => cell.padEnd(columns[i])).join(' | ')} |`;
  return [line(heading), `| ${columns.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n');
}

function goalsOf(/** @type {Entry} */ { result, side }) {
  if (result.kind !== 'simulated' && result.failed !== undefined) return `**failed**: ${result.failed.split('\n')[0]}`;
  if (result.kind !== 'simulated' && result.skipped !== undefined) return `not run: ${result.skipped.split('\n')[0]}`;
  return verdictsOf(result, side)
    .map((one) => (one.met ? verdictText(one) : `**${verdictText(one)}**`))
    .join('; ');
}

function rowTable(/** @type {readonly Entry[]} */ entries) {
  const rows = entries.flatMap((entry) => {
    const { result, side, name } = entry;
    if (result.kind !== 'row') return [];
    const ratios = ratiosOf(result, side);
    const ours = result.sides[side];
    const figures = [ratios.fastest, ratios.median, ratios.cpu].map((value) => number(value, 2));
    const times = [ours?.wall, result.sides.real?.wall].map((wall) => number(fastest(wall)));
    return [[name, side, ...figures, ...times, number(ours?.memory), number(ratios.size, 3), goalsOf(entry)]];
  });
  const heading = ['row', 'program', 'wall', 'median', 'CPU', 'ms', 'real ms', 'MiB', 'size', 'goal'];
  return table(heading, rows);
}

function growthTable(/** @type {readonly Entry[]} */ entries) {
  const rows = entries.flatMap((entry) => {
    const { result, side, name } = entry;
    if (result.kind !== 'growth') return [];
    const unit = result.what === 'time' ? 'ms of CPU' : 'MiB';
    const values = (of = result.sides[side]) => `${(of ?? []).map((value) => number(value)).join(', ')} ${unit}`;
    const real = number(growthOf(result, 'real'), 2);
    return [[name, side, result.amounts.join(', '), values(), values(result.sides.real), real, goalsOf(entry)]];
  });
  return table(['what grows', 'program', 'amounts', 'qimg', 'real', 'growth, real', 'growth, qimg'], rows);
}

function simulatedTable(/** @type {readonly Entry[]} */ entries) {
  const rows = entries.flatMap((entry) => {
    const { result, name } = entry;
    if (result.kind !== 'simulated') return [];
    const flight = `${number(result.average, 1)}, at most ${result.most}`;
    return [[name, String(result.requests), flight, number(result.wall), number(result.ideal), goalsOf(entry)]];
  });
  return table(['row', 'requests', 'in flight', 'ms', 'ideal ms', 'goal'], rows);
}

function section(/** @type {string} */ group, /** @type {readonly Entry[]} */ entries) {
  const own = entries.filter(({ result }) => result.group === group);
  if (own.length === 0) return [];
  const make = { growth: growthTable, simulated: simulatedTable }[group] ?? rowTable;
  return [`## ${TITLES[/** @type {keyof typeof TITLES} */ (group)] ?? group}`, make(own)];
}

/** Rows in which a program of ours takes longer than the real one. */
function losses(/** @type {readonly Entry[]} */ entries) {
  const lost = entries.flatMap(({ result, side, name }) => {
    if (result.kind !== 'row') return [];
    const ratio = ratiosOf(result, side).fastest;
    return ratio > 1 ? [{ text: `${name} (${side})`, ratio, group: result.group }] : [];
  });
  if (lost.length === 0) return ['qimg is not slower in any row.'];
  const lines = Object.keys(TITLES).flatMap((group) => {
    const own = lost.filter((one) => one.group === group).toSorted((a, b) => b.ratio - a.ratio);
    if (own.length === 0) return [];
    const list = own.map(({ text, ratio }) => `${text} ${number(ratio, 2)}`).join(', ');
    return [`- ${TITLES[/** @type {keyof typeof TITLES} */ (group)]}: ${list}`];
  });
  return ['Wall time as a ratio to the real program, fastest run of each:', lines.join('\n')];
}

function missed(/** @type {readonly Entry[]} */ entries) {
  const verdicts = entries.map((entry) => verdictsOf(entry.result, entry.side));
  const count = (/** @type {(goals: (typeof verdicts)[number]) => boolean} */ holds) =>
    verdicts.filter((goals) => goals.length > 0 && holds(goals)).length;
  return `${count((goals) => goals.every(({ met }) => met))} of ${count(() => true)} goals are met.`;
}

/** What the page says of machine and programs. */
function machineOf(/** @type {readonly Run[]} */ runs) {
  const { machine, size } = runs[0];
  const standalone = runs.find((run) => run.machine.standalone)?.machine.standalone;
  return [
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memory} of memory, ${machine.kernel}, ${machine.fileSystem}`,
    `- ${machine.real}; ${machine.qimg} with Node ${machine.node}${standalone ? `; as one file: ${standalone}` : ''}`,
    `- test disk of ${size} MiB; up to ${Math.max(...runs.map((run) => run.runs))} runs of each row`,
    `- ${[...new Set(runs.map(({ date }) => date))].sort().join(', ')}; ${runs.reduce((sum, run) => sum + run.seconds, 0)} s in all`,
  ].join('\n');
}

/**
 * The page of results.
 * @param {readonly Run[]} runs
 */
function page(runs) {
  const entries = entriesOf(runs);
  return `${[
    '# Results',
    'Made by `npm run bench -- --report`; [docs/performance.md](../docs/performance.md) says how it is measured and what the goals mean. Ratios are\nto the real program, below 1 where qimg is better.',
    machineOf(runs),
    missed(entries),
    '## Where qimg is slower',
    ...losses(entries),
    ...Object.keys(TITLES).flatMap((group) => section(group, entries)),
  ].join('\n\n')}\n`;
}

/**
 * Writes the page of results.
 * @param {readonly string[]} files Files that `--json` wrote.
 * @param {string} to
 */
export function report(files, to) {
  if (files.length === 0) throw new Error('--report takes files that --json wrote');
  fs.writeFileSync(to, page(files.map((file) => JSON.parse(fs.readFileSync(file, 'utf8')))));
}
