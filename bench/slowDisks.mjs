/**
 * Conversions from and to slow disks, by the library, on files in memory: each request waits its time, as on a disk that has
 * to move its arm, and an array of disks serves as many requests at a time as it has disks. What counts is whether there are
 * always enough requests under way.
 */

/** @typedef {import('../src/testing.ts').MemoryFiles} Files */

/** What `npm run build` makes of the library. */
const LIBRARY = new URL('../dist/lib/testing.js', import.meta.url).href;
const SOURCE = 'source.raw';
const SIZE = 256 * 2 ** 20;

/** Disks that serve one request at a time each, whichever is free. */
class DiskArray {
  requests = 0;
  most = 0;
  /** @readonly */
  #disks;
  /** @readonly */
  #latency;
  #inFlight = 0;
  /** Milliseconds that requests spent here, waiting for a disk or served by one. */
  #spent = 0;
  /**
   * When each disk is free.
   * @readonly
   */
  #free;

  constructor(/** @type {number} */ disks, /** @type {number} */ latency) {
    this.#disks = disks;
    this.#latency = latency;
    this.#free = Array.from({ length: disks }, () => 0);
  }

  /** Milliseconds that all requests take at least. */
  get ideal() {
    return Math.ceil(this.requests / this.#disks) * this.#latency;
  }

  /** Milliseconds that requests spent here in all. */
  get spent() {
    return this.#spent;
  }

  /** Resolves when a disk has served a request. */
  async serve() {
    const begin = performance.now();
    const disk = this.#free.indexOf(Math.min(...this.#free));
    const end = Math.max(begin, this.#free[disk]) + this.#latency;
    this.#free[disk] = end;
    this.requests++;
    this.most = Math.max(this.most, ++this.#inFlight);
    await new Promise((resolve) => setTimeout(resolve, end - begin));
    this.#inFlight--;
    this.#spent += performance.now() - begin;
  }
}

/** Puts the source, or everything else, on slow disks: a target has another name until it is complete. */
function slowDown(
  /** @type {Files} */ files,
  /** @type {'source' | 'target'} */ which,
  /** @type {DiskArray} */ disks,
) {
  const open = files.open.bind(files);
  files.open = async (name, options) => {
    const handle = await open(name, options);
    if ((name === SOURCE) !== (which === 'source')) return handle;
    const read = handle.read.bind(handle);
    const write = handle.write?.bind(handle);
    return Object.assign(handle, {
      async read(/** @type {number} */ offset, /** @type {Uint8Array} */ into) {
        await disks.serve();
        await read(offset, into);
      },
      ...(write && {
        async write(/** @type {number} */ offset, /** @type {Uint8Array} */ from) {
          await disks.serve();
          await write(offset, from);
        },
      }),
    });
  };
}

/** Fills a file with what is not zero. */
async function fill(/** @type {Files} */ files, /** @type {string} */ name) {
  await files.create(name, { size: SIZE, preallocation: 'off' });
  const handle = await files.open(name, { writable: true });
  const piece = new Uint8Array(2 ** 20).fill(0x55);
  for (let offset = 0; offset < SIZE; offset += piece.length) await handle.write?.(offset, piece);
  await handle.close();
}

/**
 * Converts between memory and slow disks.
 * @param {import('./rows/slow.mjs').Slow} slow
 * @param {string} group
 * @returns {Promise<import('./types.ts').SlowResult>}
 */
export async function runSlow({ name, disks, latency, which, goal }, group) {
  /** @type {typeof import('../src/testing.ts')} */
  const { MemoryFiles, MemoryLibrary } = await import(LIBRARY);
  const files = new MemoryFiles();
  await fill(files, SOURCE);
  const array = new DiskArray(disks, latency);
  slowDown(files, which, array);
  const library = new MemoryLibrary({}, files);
  const begin = performance.now();
  await library.convert({
    source: { filename: SOURCE, format: 'raw' },
    target: { filename: 'target.qcow2', format: 'qcow2' },
  });
  const wall = performance.now() - begin;
  const { requests, most, ideal, spent } = array;
  return { kind: 'slow', group, name, wall, ideal, requests, average: spent / wall, most, goal };
}
