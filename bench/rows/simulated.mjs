/** Conversions on machines that are simulated: with slow disks, with servers far away, and with many cores. */

/**
 * @typedef {object} Simulated
 * @property {string} name
 * @property {'source' | 'target' | 'compress' | 'decompress' | 'http'} what The image that is on slow disks, or what the cores
 * do, or a source on a server that is far away.
 * @property {number} servers Disks, cores or connections.
 * @property {number} latency Milliseconds that a disk or a server takes for a request, or a core for a cluster.
 * @property {number} goal Most wall time as a ratio to the ideal.
 */

/** As a ratio to what takes the time of the requests, shared by all disks or cores. */
const GOAL = 1.25;
const DISK = 20;
/** From one country to another. */
const SERVER = 50;
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
  { name: 'raw -> qcow2, source on a server of HTTP', what: 'http', servers: 16, latency: SERVER, goal: GOAL },
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
