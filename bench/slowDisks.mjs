/**
 * Conversions from and to slow disks, by the library, on files in memory: each request waits its time, as on a disk that has
 * to move its arm, and an array of disks serves as many requests at a time as it has disks. What counts is whether there are
 * always enough requests under way.
 */

/** @typedef {import('../src/testing.ts').MemoryFiles} Files */

/** What `npm run build` makes of the library. */
const LIBRARY = new URL('../dist/lib/testing.js', import.meta.url).href;
const SOURCE = 'source.raw';
const SIZE = 512 * 2 ** 20;
/** What the target has besides. */
const METADATA = 16 * 2 ** 20;

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

/** @type {import('../src/testing.ts').Services['now']} */
function now() {
  const milliseconds = performance.timeOrigin + performance.now();
  return { seconds: Math.floor(milliseconds / 1000), nanoseconds: Math.floor((milliseconds % 1000) * 1e6) };
}

/**
 * Keeps what is in source and target in one piece of memory each, which takes as little of the processor's time as can be; the source, or
 * everything else (a target has another name until it is complete), is on slow disks besides.
 */
function slowDown(
  /** @type {Files} */ files,
  /** @type {'source' | 'target'} */ which,
  /** @type {DiskArray} */ disks,
) {
  const [source, target] = [0x55, 0].map((byte) => new Uint8Array(SIZE + METADATA).fill(byte));
  const open = files.open.bind(files);
  files.open = async (name, options) => {
    const handle = await open(name, options);
    const content = name === SOURCE ? source : target;
    const isSlow = (name === SOURCE) === (which === 'source');
    const change = async (/** @type {number} */ offset, /** @type {number} */ length) => {
      if (offset + length > handle.size()) await handle.truncate?.(offset + length, 'off');
    };
    return Object.assign(handle, {
      async read(/** @type {number} */ offset, /** @type {Uint8Array} */ into) {
        if (isSlow) await disks.serve();
        into.set(content.subarray(offset, offset + into.length));
      },
      async writeZeroes(/** @type {number} */ offset, /** @type {number} */ length) {
        content.fill(0, offset, offset + length);
        await change(offset, length);
      },
      status: (/** @type {number} */ _offset, /** @type {number} */ length) => ({ kind: 'data', length }),
      ...(handle.write && {
        async write(/** @type {number} */ offset, /** @type {Uint8Array} */ from) {
          if (isSlow) await disks.serve();
          content.set(from, offset);
          await change(offset, from.length);
        },
      }),
    });
  };
}

/**
 * Converts between memory and slow disks.
 * @param {import('./rows/slow.mjs').Slow} slow
 * @param {string} group
 * @returns {Promise<import('./types.ts').SlowResult>}
 */
export async function runSlow({ name, disks, latency, which, goal }, group) {
  /** @type {typeof import('../src/testing.ts')} */
  const { drivers, ImageLibrary, MemoryFiles, memoryServices } = await import(LIBRARY);
  const files = new MemoryFiles();
  await files.create(SOURCE, { size: SIZE, preallocation: 'off' });
  const array = new DiskArray(disks, latency);
  slowDown(files, which, array);
  // The clock of services for tests stands still.
  const library = new ImageLibrary(drivers, { ...memoryServices(files), now });
  const begin = performance.now();
  await library.convert({
    source: { filename: SOURCE, format: 'raw' },
    target: { filename: 'target.qcow2', format: 'qcow2' },
  });
  const wall = performance.now() - begin;
  const { requests, most, ideal, spent } = array;
  return { kind: 'slow', group, name, wall, ideal, requests, average: spent / wall, most, goal };
}
