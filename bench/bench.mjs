#!/usr/bin/env node
/**
 * Wall-clock ratios of qimg to the real qemu-img, both measured in turn in one run.
 *
 *   QIMG_ORACLE_BIN=DIR node bench/bench.mjs [--size MIB] [--runs N] [--only TEXT] [--tmp DIR] [--json FILE]
 *
 * A ratio below 1 means that qimg is faster. Figures depend on the machine; only ratios of one run say anything. The
 * ratio of processor time (all threads, user and system) is what to look at where others keep the machine busy.
 * The first row is Node's own start, without a program, on the side of qimg: no command can take less.
 * `--only` takes several texts with commas between; only the inputs of those jobs are made.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inputs } from './inputs.mjs';
import { jobs } from './jobs.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function parseArguments(argv) {
  const options = { size: 512, runs: 5, only: '', tmp: os.tmpdir(), json: '' };
  for (let i = 0; i < argv.length; i += 2) {
    const name = argv[i].replace(/^--/, '');
    if (!(name in options) || argv[i + 1] === undefined) throw new Error(`unknown or incomplete option ${argv[i]}`);
    options[name] = typeof options[name] === 'number' ? Number(argv[i + 1]) : argv[i + 1];
  }
  return options;
}

/** Runs a command once; returns milliseconds, and where GNU time is installed processor time and peak memory in MiB. */
function measure(command, cwd, accept) {
  const timed = fs.existsSync('/usr/bin/time');
  const argv = timed ? ['/usr/bin/time', '-f', 'used %U %S %M', ...command] : command;
  const start = performance.now();
  const result = spawnSync(argv[0], argv.slice(1), { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  const wall = performance.now() - start;
  if (!accept.includes(result.status)) {
    throw new Error(`${command.join(' ')} failed with ${result.status}: ${result.stderr}`);
  }
  const [user, system, rss] = (/used (\S+) (\S+) (\S+)/.exec(result.stderr) ?? []).slice(1).map(Number);
  return { wall, cpu: (user + system) * 1000, rss: rss / 1024 };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Puts the files of a job in order before a run. */
function arrange(job, oracle, cwd) {
  for (const name of job.remove ?? []) fs.rmSync(path.join(cwd, name), { force: true });
  for (const [from, to] of job.copy ?? []) {
    execFileSync('cp', ['--sparse=always', path.join(cwd, from), path.join(cwd, to)]);
  }
  if (!job.adopt) return;
  const [overlay, base] = job.adopt;
  execFileSync(oracle, ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', base, overlay], { cwd });
}

/** What starting Node takes, in the form of a row. */
function emptyStart(cwd, runs) {
  const figures = Array.from({ length: runs + 1 }, () => measure([process.execPath, '-e', '0'], cwd, [0])).slice(1);
  const of = (what) => median(figures.map((figure) => figure[what]));
  return { job: 'node -e 0', ours: of('wall'), rss: of('rss') };
}

/** Runs both programs in turn and returns the medians. */
function compare(job, programs, cwd, runs) {
  const figures = { ours: [], theirs: [] };
  for (let run = -1; run < runs; run++) {
    for (const side of ['ours', 'theirs']) {
      arrange(job, programs.theirs, cwd);
      const figure = measure([programs[side], ...job.argv], cwd, job.accept ?? [0]);
      if (run >= 0) figures[side].push(figure);
    }
  }
  for (const name of job.remove ?? []) fs.rmSync(path.join(cwd, name), { force: true });
  const of = (side, what) => median(figures[side].map((figure) => figure[what]));
  return {
    job: job.name,
    ratio: of('ours', 'wall') / of('theirs', 'wall'),
    ours: of('ours', 'wall'),
    theirs: of('theirs', 'wall'),
    // GNU time counts in hundredths of a second.
    cpuRatio: of('ours', 'cpu') / Math.max(10, of('theirs', 'cpu')),
    rss: of('ours', 'rss'),
  };
}

/** One line of the table. */
function line(name, ...columns) {
  return [name.padEnd(26), ...columns.map((column) => column.padStart(9))].join(' ');
}

function rowText({ job, ratio, ours, theirs, cpuRatio, rss }) {
  const text = (value, digits) => value?.toFixed(digits) ?? '-';
  return line(job, text(ratio, 2), text(ours, 0), text(theirs, 0), text(cpuRatio, 2), text(rss, 0));
}

function isWanted(job, only) {
  return only.split(',').some((text) => job.name.includes(text));
}

function main() {
  const options = parseArguments(process.argv.slice(2));
  const oracle = process.env.QIMG_ORACLE_BIN;
  // Node would read them at its start; `qimg` keeps them from it.
  delete process.env.NODE_EXTRA_CA_CERTS;
  if (!oracle) throw new Error('QIMG_ORACLE_BIN must name the directory of the real qemu-img');
  const programs = { ours: path.join(root, 'qimg'), theirs: path.join(oracle, 'qemu-img') };
  execFileSync(programs.ours, ['--version'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const cwd = fs.mkdtempSync(path.join(options.tmp, 'qimg-bench-'));
  const rows = [];
  const need = inputs({ cwd, oracle, size: options.size });
  try {
    console.log(line('job', 'ratio', 'qimg ms', 'real ms', 'cpu ratio', 'peak MiB'));
    const add = (row) => {
      rows.push(row);
      console.log(rowText(row));
    };
    add(emptyStart(cwd, options.runs));
    for (const job of jobs) {
      if (!isWanted(job, options.only)) continue;
      for (const name of job.needs ?? []) need(name);
      add(compare(job, programs, cwd, options.runs));
    }
  } finally {
    fs.rmSync(cwd, { recursive: true, force: true });
  }
  if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}

main();
