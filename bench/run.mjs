/** Runs rows: all programs in turn on the same inputs, and the real program on what they made. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { measure } from './measure.mjs';
import { uriIn, whileServed } from './served.mjs';

/** @typedef {import('./types.ts').Row} Row */
/** @typedef {import('./types.ts').Program} Program */
/** @typedef {import('./types.ts').Figures} Figures */
/** @typedef {import('./places.mjs').Place} Place */
/** @typedef {{ readonly figures: Figures, readonly command: readonly string[], readonly of?: Program }} Lane */

/** Rows that take long are run less often, at least this often. */
const FEWEST_RUNS = 2;

/** A program that failed, or made something that is not right. */
class RowError extends Error {}

function text(/** @type {readonly string[]} */ command) {
  return [path.basename(command[0]), ...command.slice(1)].join(' ');
}

function remove(/** @type {Row} */ row, /** @type {string} */ cwd) {
  for (const name of [...(row.outputs ?? []), ...(row.copies ?? []).map(([, to]) => to)]) {
    fs.rmSync(path.join(cwd, name), { force: true });
  }
}

/** Puts the files of a row in order before a run. */
function arrange(/** @type {Row} */ row, /** @type {string} */ real, /** @type {string} */ cwd) {
  remove(row, cwd);
  for (const [from, to] of row.copies ?? []) {
    execFileSync('cp', ['--reflink=never', from, to], { cwd });
  }
  for (const argv of row.prepare ?? []) execFileSync(real, argv, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Has the real program look at what came of a run. */
function verify(/** @type {Row} */ row, /** @type {string} */ real, /** @type {string} */ cwd) {
  for (const argv of row.verify ?? []) {
    try {
      execFileSync(real, argv, { cwd, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 26 });
    } catch (error) {
      throw new RowError(`the real program says: ${text(argv)}: ${error.stderr}${error.stdout}`.trim(), {
        cause: error,
      });
    }
  }
}

/** What is measured of a program. */
function commandOf(/** @type {Row} */ row, /** @type {Program} */ program, /** @type {string} */ cwd) {
  if (program.side === 'real' && row.other) return row.other;
  if (!row.served) return [program.path, ...row.argv];
  return row.argv.map((word) => (word === 'URI' ? uriIn(cwd) : word));
}

/** One run of one program. */
async function once(/** @type {Lane} */ lane, /** @type {Row} */ row, /** @type {string} */ cwd) {
  const run = () => measure(lane.command, cwd);
  const result = await (row.served && lane.of ? whileServed(lane.of, row.served, cwd, run) : run());
  const accepted = lane.of ? [0, ...(row.accept ?? [])] : [0];
  if (accepted.includes(result.status)) return result;
  throw new RowError(`${text(lane.command)}: exit code ${result.status}: ${result.stderr.trim()}`);
}

/** The run that warms up: its output is verified, and its size is taken. */
async function first(
  /** @type {Lane} */ lane,
  /** @type {Row} */ row,
  /** @type {string} */ real,
  /** @type {string} */ cwd,
) {
  const result = await once(lane, row, cwd);
  const output = row.outputs?.[0];
  if (output && lane.of) lane.figures.size = fs.statSync(path.join(cwd, output)).blocks * 512;
  if (lane.of) verify(row, real, cwd);
  return result.stdout;
}

/**
 * @param {object} how
 * @param {readonly Lane[]} how.lanes
 * @param {Row} how.row
 * @param {string} how.real
 * @param {string} how.cwd
 * @param {number} how.runs
 * @param {number} how.seconds After so many no further runs are started.
 */
async function runLanes({ lanes, row, real, cwd, runs, seconds }) {
  const texts = new Map();
  for (const lane of lanes) {
    arrange(row, real, cwd);
    const stdout = await first(lane, row, real, cwd);
    if (lane.of && row.sameText) texts.set(stdout, text(lane.command));
  }
  if (texts.size > 1) throw new RowError(`different answers: ${[...texts.values()].join('; ')}`);
  const end = performance.now() + seconds * 1000;
  for (let run = 0; run < runs && (run < FEWEST_RUNS || performance.now() < end); run++) {
    for (const lane of lanes) {
      arrange(row, real, cwd);
      const { wall, cpu, memory } = await once(lane, row, cwd);
      lane.figures.wall.push(wall);
      if (cpu !== undefined) lane.figures.cpu.push(cpu);
      if (memory !== undefined) lane.figures.memory = Math.max(lane.figures.memory ?? 0, memory);
    }
  }
}

/**
 * Runs a row by all programs in turn.
 * @param {Row} row
 * @param {object} how
 * @param {string} how.group
 * @param {readonly Program[]} how.programs The real one is among them.
 * @param {Place} how.place
 * @param {number} how.runs Most runs that count; one more before them warms up, and is verified.
 * @param {number} how.seconds After so many no further runs are started, beyond two.
 * @returns {Promise<import('./types.ts').RowResult>}
 */
export async function runRow(row, { group, programs, place, runs, seconds }) {
  const { cwd, need } = place;
  /** @type {(command: readonly string[], of?: Program) => Lane} */
  const lane = (command, of) => ({ figures: { wall: [], cpu: [] }, command, ...(of ? { of } : {}) });
  const real = /** @type {Program} */ (programs.find(({ side }) => side === 'real')).path;
  const sides = programs.map(
    (program) => /** @type {const} */ ([program.side, lane(commandOf(row, program, cwd), program)]),
  );
  const empty = programs.flatMap(({ side, empty: command }) =>
    command && row.goal?.of === 'empty' ? [/** @type {const} */ ([side, lane(command)])] : [],
  );
  const result = /** @type {const} */ ({
    kind: 'row',
    group,
    name: row.name,
    ...(row.goal ? { goal: row.goal } : {}),
    sides: Object.fromEntries(sides.map(([side, { figures }]) => [side, figures])),
    ...(empty.length > 0 ? { empty: Object.fromEntries(empty.map(([side, { figures }]) => [side, figures])) } : {}),
  });
  for (const name of row.needs ?? []) need(name);
  try {
    const lanes = [...sides, ...empty].map(([, one]) => one);
    await runLanes({ lanes, row, real, cwd, runs, seconds });
  } catch (error) {
    if (error instanceof RowError) return { ...result, failed: error.message };
    throw error;
  } finally {
    remove(row, cwd);
  }
  return result;
}
