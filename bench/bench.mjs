#!/usr/bin/env node
/**
 * Wall-clock ratios of qimg to the real qemu-img, both measured in turn in one run.
 *
 *   QIMG_ORACLE_BIN=DIR node bench/bench.mjs [--size MIB] [--runs N] [--only TEXT] [--tmp DIR] [--json FILE]
 *
 * A ratio below 1 means that qimg is faster. Figures depend on the machine; only ratios of one run say anything.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** Runs a command once; returns wall-clock milliseconds and peak memory in MiB (where GNU time is installed). */
function measure(command, cwd, accept) {
  const timed = fs.existsSync('/usr/bin/time');
  const argv = timed ? ['/usr/bin/time', '-f', 'maxrss %M', ...command] : command;
  const start = performance.now();
  const result = spawnSync(argv[0], argv.slice(1), { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  const wall = performance.now() - start;
  if (!accept.includes(result.status)) {
    throw new Error(`${command.join(' ')} failed with ${result.status}: ${result.stderr}`);
  }
  const rss = /maxrss (\d+)/.exec(result.stderr);
  return { wall, rss: rss ? Number(rss[1]) / 1024 : Number.NaN };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Runs both programs in turn and returns the medians. */
function compare(job, programs, cwd, runs) {
  const figures = { ours: [], theirs: [] };
  for (let run = -1; run < runs; run++) {
    for (const side of ['ours', 'theirs']) {
      for (const name of job.remove ?? []) fs.rmSync(path.join(cwd, name), { force: true });
      for (const [from, to] of job.copy ?? []) {
        execFileSync('cp', ['--sparse=always', path.join(cwd, from), path.join(cwd, to)]);
      }
      const figure = measure([programs[side], ...job.argv], cwd, job.accept ?? [0]);
      if (run >= 0) figures[side].push(figure);
    }
  }
  const ours = median(figures.ours.map((figure) => figure.wall));
  const theirs = median(figures.theirs.map((figure) => figure.wall));
  return { job: job.name, ratio: ours / theirs, ours, theirs, rss: median(figures.ours.map((figure) => figure.rss)) };
}

function main() {
  const options = parseArguments(process.argv.slice(2));
  const oracle = process.env.QIMG_ORACLE_BIN;
  if (!oracle) throw new Error('QIMG_ORACLE_BIN must name the directory of the real qemu-img');
  const programs = { ours: path.join(root, 'qimg'), theirs: path.join(oracle, 'qemu-img') };
  execFileSync(programs.ours, ['--version'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const cwd = fs.mkdtempSync(path.join(options.tmp, 'qimg-bench-'));
  const rows = [];
  try {
    console.log(
      `${'job'.padEnd(34)} ${'ratio'.padStart(6)} ${'qimg ms'.padStart(9)} ${'real ms'.padStart(9)} ${'peak MiB'.padStart(9)}`,
    );
    for (const job of jobs({ cwd, oracle, size: options.size })) {
      if (!job.name.includes(options.only)) continue;
      job.prepare?.();
      const row = compare(job, programs, cwd, options.runs);
      rows.push(row);
      console.log(
        `${row.job.padEnd(34)} ${row.ratio.toFixed(2).padStart(6)} ${row.ours.toFixed(0).padStart(9)} ` +
          `${row.theirs.toFixed(0).padStart(9)} ${row.rss.toFixed(0).padStart(9)}`,
      );
    }
  } finally {
    fs.rmSync(cwd, { recursive: true, force: true });
  }
  if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}

main();
