#!/usr/bin/env node
/**
 * Measures qimg beside the real qemu-img: in turn, on the same inputs, in one run.
 *
 *   QIMG_ORACLE_BIN=DIR npm run bench -- [OPTION...]
 *
 * `--help` lists the options, docs/performance.md says how it measures and what the goals mean.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fileOf, targetHere } from '../scripts/lib/bunTargets.mjs';
import { verdictsOf, ownSides } from './goals.mjs';
import { growths, runGrowth, START } from './growth.mjs';
import { describeMachine } from './machine.mjs';
import { Places } from './places.mjs';
import { report } from './report.mjs';
import { coding } from './rows/coding.mjs';
import { copy, otherFormats, reflinks, shapes } from './rows/copy.mjs';
import { metadata, scattered } from './rows/metadata.mjs';
import { served } from './rows/served.mjs';
import { ssh } from './rows/ssh.mjs';
import { start } from './rows/start.mjs';
import { runRow } from './run.mjs';
import { simulated } from './rows/simulated.mjs';
import { simulate } from './simulate.mjs';
import { heading, linesOf } from './table.mjs';

/** @typedef {import('./types.ts').Program} Program */
/** @typedef {import('./types.ts').Result} Result */

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const RESULTS = path.join(root, 'bench/RESULTS.md');
/** What `npm run build:standalone` makes for this machine. */
const TARGET = targetHere() ?? 'unknown';
const STANDALONE = path.join(root, 'dist/standalone', fileOf('qimg', TARGET));
const EMPTY = path.join(root, 'dist/standalone', fileOf('empty', TARGET));

const HELP = `Usage: npm run bench -- [OPTION...]

  --only TEXT[,TEXT...]   rows with one of these texts in "GROUP: NAME"
  --quick                 the few rows for every day, with 256 MiB and 3 runs
  --list                  names the rows, and ends
  --size MIB              size of the test disk (1024)
  --runs N                runs of each row that count, after one that warms up and is verified (5)
  --seconds N             after so many no further runs of a row are started, beyond two (60)
  --standalone[=PATH]     measures the standalone executable too (npm run build:standalone)
  --empty PATH            an executable of the same compiler that does nothing (npm run build:standalone -- --empty)
  --no-node               leaves the program under Node out
  --against PATH          measures another checkout (its directory) or build (its program) too
  --tmp DIR               where images are
  --keep DIR              keeps inputs there for the next run with the same --size
  --prepare               makes the inputs of these rows only, for --keep
  --json FILE             keeps all figures
  --strict                exit code 1 if a goal is missed
  --report FILE...        writes bench/RESULTS.md from files of --json; of several with the same row the worst counts
  --to FILE               where --report writes

QIMG_ORACLE_BIN names the directory of the real programs.`;

/** `--standalone` may stand alone, which parseArgs does not know. */
function parse(/** @type {readonly string[]} */ argv) {
  const args = argv.map((word) => (word === '--standalone' ? `--standalone=${STANDALONE}` : word));
  const text = { type: /** @type {const} */ ('string') };
  const flag = { type: /** @type {const} */ ('boolean'), default: false };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { ...text, default: '' },
      size: text,
      runs: text,
      seconds: { ...text, default: '60' },
      standalone: text,
      empty: { ...text, default: EMPTY },
      against: text,
      tmp: { ...text, default: os.tmpdir() },
      keep: text,
      json: text,
      to: { ...text, default: RESULTS },
      quick: flag,
      prepare: flag,
      list: flag,
      strict: flag,
      report: flag,
      help: { ...flag, short: 'h' },
      'no-node': flag,
    },
  });
  if (positionals.length > 0 && !values.report) throw new Error(`unexpected argument: ${positionals[0]}`);
  const count = (/** @type {string} */ name, /** @type {string} */ value) => {
    if (!/^[1-9]\d*$/.test(value)) throw new Error(`--${name} takes a whole number, not '${value}'`);
    return Number(value);
  };
  return {
    ...values,
    size: count('size', values.size ?? (values.quick ? '256' : '1024')),
    runs: count('runs', values.runs ?? (values.quick ? '3' : '5')),
    seconds: count('seconds', values.seconds),
    files: positionals,
  };
}

/** @typedef {ReturnType<typeof parse>} Options */

/** All that can be run, in the order of the table: by group and name. */
const groups = /** @type {const} */ ({
  start,
  copy,
  coding,
  metadata,
  ssh,
  reflink: reflinks,
  shapes,
  formats: otherFormats,
  scattered,
  served,
  growth: growths,
  simulated,
});

function wanted(/** @type {Options} */ { only, quick }) {
  const texts = only.split(',');
  return Object.entries(groups).flatMap(([group, rows]) =>
    rows
      .filter((row) => texts.some((text) => `${group}: ${row.name}`.includes(text)))
      .filter((row) => !quick || ('quick' in row && row.quick))
      .map((row) => ({ group, row })),
  );
}

/** @returns {Program[]} */
function programsOf(/** @type {Options} */ options) {
  const bin = process.env.QIMG_ORACLE_BIN;
  if (!bin) throw new Error('QIMG_ORACLE_BIN must name the directory of the real qemu-img');
  /** @type {Program[]} */
  const programs = [];
  const node = [process.execPath, '-e', '0'];
  if (!options['no-node']) programs.push({ side: 'node', path: path.join(root, 'qimg'), empty: node });
  if (options.standalone) {
    const empty = fs.existsSync(options.empty) ? { empty: [path.resolve(options.empty)] } : {};
    programs.push({ side: 'standalone', path: path.resolve(options.standalone), ...empty });
  }
  if (options.against) {
    const other = path.resolve(options.against);
    const isCheckout = fs.statSync(other).isDirectory();
    programs.push({ side: 'against', path: isCheckout ? path.join(other, 'qimg') : other, empty: node });
  }
  programs.push({ side: 'real', path: path.join(bin, 'qemu-img') });
  for (const program of programs) execFileSync(program.path, ['--version'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return programs;
}

/** @returns {Promise<Result>} */
async function runOne(
  /** @type {ReturnType<typeof wanted>[number]} */ { group, row },
  /** @type {Program[]} */ programs,
  /** @type {Places} */ places,
  /** @type {Options} */ { runs, seconds },
) {
  if ('latency' in row) return simulate(row, group);
  let place;
  let own = row;
  try {
    place = places.on('on' in row ? row.on : undefined);
    if ('sftp' in row) own = (await places.ssh()).row(row, programs.at(-1)?.path ?? '', place.cwd);
  } catch (error) {
    return { kind: 'row', group, name: row.name, sides: {}, skipped: error.message };
  }
  const how = { group, programs, place, runs, seconds };
  return 'amounts' in own ? runGrowth(own, how) : runRow(own, how);
}

/** Makes the inputs of rows in the temporary directory. */
function prepare(/** @type {ReturnType<typeof wanted>} */ rows, /** @type {Places} */ places) {
  const { need } = places.on();
  for (const { row } of rows) {
    const own = 'amounts' in row ? [START, ...row.amounts.map(row.row)] : 'argv' in row && !row.on ? [row] : [];
    for (const name of own.flatMap(({ needs = [] }) => needs)) need(name);
  }
}

function secondsSince(/** @type {number} */ begin) {
  return Math.round((performance.now() - begin) / 1000);
}

function keep(/** @type {import('./types.ts').Run} */ run, /** @type {string} */ file) {
  fs.writeFileSync(file, `${JSON.stringify(run, null, 1)}\n`);
}

async function main() {
  const options = parse(process.argv.slice(2));
  if (options.help) return console.log(HELP);
  if (options.report) return report(options.files, options.to);
  const rows = wanted(options);
  if (options.list) return console.log(rows.map(({ group, row }) => `${group}: ${row.name}`).join('\n'));
  // Node would read them at its start; `qimg` keeps them from it.
  delete process.env.NODE_EXTRA_CA_CERTS;
  const begin = performance.now();
  const programs = programsOf(options);
  const { tmp, size, runs, keep: inputs } = options;
  const places = new Places({
    tmp,
    real: path.dirname(programs.at(-1)?.path ?? ''),
    size,
    ...(inputs ? { keep: inputs } : {}),
  });
  const machine = describeMachine(programs, places.root);
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(signal, () => {
      void places.close().then(() => process.kill(process.pid, signal));
    });
  }
  /** @type {Result[]} */
  const results = [];
  const about = { machine, size, runs, date: new Date().toISOString().slice(0, 10) };
  try {
    if (options.prepare) return prepare(rows, places);
    console.log(heading);
    for (const row of rows) {
      const result = await runOne(row, programs, places, options);
      results.push(result);
      for (const line of linesOf(result)) console.log(line);
      // After each row: what was measured is not lost with what comes later.
      if (options.json) keep({ ...about, seconds: secondsSince(begin), results }, options.json);
    }
  } finally {
    await places.close();
  }
  const seconds = secondsSince(begin);
  const missed = results.flatMap((result) =>
    ownSides(result).filter((side) => verdictsOf(result, side).some(({ met }) => !met)),
  );
  const failed = results.filter((result) => 'failed' in result && result.failed !== undefined);
  console.log(`${results.length} rows in ${seconds} s, ${failed.length} failed, ${missed.length} with a goal missed`);
  if (failed.length > 0 || (options.strict && missed.length > 0)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
