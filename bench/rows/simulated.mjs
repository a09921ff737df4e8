/** Conversions on machines that are simulated: with slow disks, and with many cores. */

/**
 * @typedef {object} Simulated
 * @property {string} name
 * @property {'source' | 'target' | 'compress' | 'decompress'} what The image that is on slow disks, or what the cores do.
 * @property {number} servers Disks or cores.
 * @property {number} latency Milliseconds that a disk takes for a request, or a core for a cluster.
 * @property {number} goal Most wall time as a ratio to the ideal.
 */

/** As a ratio to what takes the time of the requests, shared by all disks or cores. */
const GOAL = 1.25;
const DISK = 20;
/** 64 KiB at 20 MiB/s, as zlib compresses. */
const CORE = 3;

/** @type {readonly Simulated[]} */
export const simulated = [
  ...[4, 8].flatMap((servers) =>
    /** @type {const} */ (['source', 'target']).map((what) => ({
      name: `raw -> qcow2, ${what} on ${servers} slow disks`,
      what,
      servers,
      latency: DISK,
      goal: GOAL,
    })),
  ),
  ...[4, 16].flatMap((servers) =>
    /** @type {const} */ (['compress', 'decompress']).map((what) => ({
      name: `${what} on ${servers} cores`,
      what,
      servers,
      latency: CORE,
      goal: GOAL,
    })),
  ),
];
