#!/usr/bin/env node
/**
 * How compression and decompression would scale on machines with more cores: the real pipeline, the real pool and the real
 * main thread, with workers that sleep for as long as the real ones would work (`sleepingWorker.mjs`). What is left is
 * what the main thread has to do by itself, which bounds how many cores can be used.
 *
 *   node bench/cores.mjs [--size MIB] [--cores 1,2,4,8,16] [--tmp DIR]
 *
 * Not simulated: the start of the workers, who are there already, and memory that many cores share. `bound` is the run whose
 * workers take no time at all.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemFiles } from './inputs.mjs';

const LIBRARY = new URL('../dist/lib/', import.meta.url);
const WORKER = fileURLToPath(new URL('sleepingWorker.mjs', import.meta.url));
const UNIT = 65_536;
const RUNS = 4;

/**
 * Loads a module of the built library; what it exports depends on its name.
 * @returns {Promise<any>}
 */
const load = (/** @type {string} */ name) => import(new URL(name, LIBRARY).href);

/** Rows: what is converted into what. */
const ROWS = [
  { name: 'compress zlib', from: 'disk.raw', to: 'out.qcow2', zlib: true },
  { name: 'compress zstd', from: 'disk.raw', to: 'out.qcow2', zstd: true },
  { name: 'decompress zlib', from: 'zlib.qcow2', to: 'out.raw' },
  { name: 'decompress zstd', from: 'zstd.qcow2', to: 'out.raw' },
];

/** Writes files of the system one after the other until there are so many bytes. */
function fill(/** @type {string} */ name, /** @type {number} */ size) {
  const file = fs.openSync(name, 'w');
  let left = size;
  for (const inside of systemFiles()) {
    if (left <= 0) break;
    const bytes = fs.readFileSync(inside).subarray(0, left);
    fs.writeSync(file, bytes);
    left -= bytes.length;
  }
  fs.ftruncateSync(file, size);
  fs.closeSync(file);
}

/** Milliseconds per byte of guest data on one core, and how long streams are, on a part of the disk. */
async function calibrate(/** @type {string} */ disk) {
  const { coders } = await load('host/node/codecTasks.js');
  const file = fs.openSync(disk, 'r');
  const step = Math.max(1, Math.floor(fs.fstatSync(file).size / UNIT / 400)) * UNIT;
  const units = Array.from({ length: 400 }, (_, i) => {
    const unit = Buffer.alloc(UNIT);
    fs.readSync(file, unit, 0, UNIT, i * step);
    return unit;
  });
  fs.closeSync(file);
  /** @type {Record<string, { compress: number, decompress: number, size: number }>} */
  const rates = {};
  for (const how of [{ method: 'deflate-raw', windowBits: 12 }, { method: 'zstd' }]) {
    const encode = await coders.encoder(how);
    const decode = await coders.decoder({ method: how.method });
    const streams = units.map((unit) => encode(unit, Infinity).slice());
    const into = new Uint8Array(UNIT);
    const rate = (/** @type {() => void} */ body) => {
      const times = Array.from({ length: 3 }, () => {
        const begin = performance.now();
        body();
        return performance.now() - begin;
      });
      return Math.min(...times) / (units.length * UNIT);
    };
    rates[how.method] = {
      compress: rate(() => units.forEach((unit) => encode(unit, Infinity))),
      decompress: rate(() => streams.forEach((stream) => decode(stream, into))),
      size: streams.reduce((sum, { length }) => sum + length, 0) / (units.length * UNIT),
    };
  }
  return rates;
}

async function main() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '256' },
      cores: { type: 'string', default: '1,2,4,8,16' },
      tmp: { type: 'string', default: os.tmpdir() },
    },
  });
  const cores = values.cores.split(',').map(Number);
  const { ImageLibrary } = await load('index.js');
  const { drivers } = await load('drivers.js');
  const { nodeServices } = await load('host/node/host.js');
  const { nodeCodecs } = await load('host/node/codecs.js');
  const { WorkerPool } = await load('host/node/pool.js');
  const directory = fs.mkdtempSync(path.join(values.tmp, 'qimg-cores-'));
  const inside = (/** @type {string} */ name) => path.join(directory, name);

  /** Milliseconds of a conversion, the fastest of several with the same threads; without a number real ones. */
  const run = async (/** @type {typeof ROWS[number]} */ row, /** @type {number} */ threads = 0) => {
    const pool = new WorkerPool(threads > 0 ? { threads, worker: WORKER, startAfter: 1, restAfter: 60_000 } : {});
    const services = nodeServices({ codec: nodeCodecs(pool) });
    const library = new ImageLibrary(drivers, services);
    let best = Infinity;
    for (let i = 0; i < (threads > 0 ? RUNS : 1); i++) {
      fs.rmSync(inside(row.to), { force: true });
      const begin = performance.now();
      await library.convert({
        source: { filename: inside(row.from), format: path.extname(row.from).slice(1) },
        target: { filename: inside(row.to), format: path.extname(row.to).slice(1) },
        ...(row.zlib || row.zstd ? { compress: true } : {}),
        ...(row.zstd ? { options: { compression_type: 'zstd' } } : {}),
      });
      best = Math.min(best, performance.now() - begin);
    }
    await pool.close();
    return best;
  };
  try {
    fill(inside('disk.raw'), Number(values.size) * 2 ** 20);
    const rates = await calibrate(inside('disk.raw'));
    for (const method of ['zlib', 'zstd']) {
      await run({ name: method, from: 'disk.raw', to: `${method}.qcow2`, [method]: true });
    }
    console.log(['', ...cores.map((count) => `${count} cores`), 'bound'].map((text) => text.padStart(16)).join(''));
    for (const row of ROWS) {
      process.env.QIMG_BENCH_RATES = JSON.stringify(rates);
      /** @type {number[]} */
      const walls = [];
      for (const count of cores) walls.push(await run(row, count));
      process.env.QIMG_BENCH_RATES = JSON.stringify({});
      walls.push(await run(row, Math.max(...cores)));
      const cells = walls.map((wall) => `${wall.toFixed(0)} ms ${(walls[0] / wall).toFixed(1)}x`);
      console.log([row.name, ...cells].map((text) => text.padStart(16)).join(''));
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

await main();
