/** Conversions from and to slow disks. */

/**
 * @typedef {object} Slow
 * @property {string} name
 * @property {number} disks
 * @property {number} latency Milliseconds of a request.
 * @property {'source' | 'target'} which The image that is on these disks; the other one is in memory.
 * @property {number} goal Most wall time as a ratio to the ideal.
 */

/** As a ratio to what takes the time of the requests, shared by all disks. */
const GOAL = 1.25;
const LATENCY = 20;

/** @type {readonly Slow[]} */
export const slowDisks = [4, 8].flatMap((disks) =>
  /** @type {const} */ (['source', 'target']).map((which) => ({
    name: `raw -> qcow2, ${which} on ${disks} disks`,
    disks,
    latency: LATENCY,
    which,
    goal: GOAL,
  })),
);
