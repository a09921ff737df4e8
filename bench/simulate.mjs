/**
 * Conversions on simulated machines, by the library, on files in memory. On slow disks each request waits its time, as where an
 * arm has to move, and an array of disks serves as many requests at a time as it has disks; of many cores each has one cluster
 * to code at a time. What counts is whether there is always enough under way.
 */

/** @typedef {import('./rows/simulated.mjs').Simulated} Simulated */
/** @typedef {import('../src/testing.ts').Services['codec']} Codec */
/** @typedef {import('../src/testing.ts').MemoryFiles} Files */

/** What `npm run build` makes of the library. */
const LIBRARY = new URL('../dist/lib/testing.js', import.meta.url).href;
const SOURCE = 'source.raw';
const SIZE = 512 * 2 ** 20;
/** What the target has besides. */
const METADATA = 16 * 2 ** 20;

/** Disks or cores that serve one request at a time each, whichever is free. */
class Servers {
  requests = 0;
  most = 0;
  /** @readonly */
  #count;
  /** @readonly */
  #latency;
  #inFlight = 0;
  /** Milliseconds that requests spent here, waiting or served. */
  #spent = 0;
  /**
   * When each is free.
   * @readonly
   */
  #free;

  constructor(/** @type {number} */ count, /** @type {number} */ latency) {
    this.#count = count;
    this.#latency = latency;
    this.#free = Array.from({ length: count }, () => 0);
  }

  /** Milliseconds that all requests take at least. */
  get ideal() {
    return Math.ceil(this.requests / this.#count) * this.#latency;
  }

  /** Milliseconds that requests spent here in all. */
  get spent() {
    return this.#spent;
  }

  /** Resolves when a request is served. */
  async serve() {
    const begin = performance.now();
    const next = this.#free.indexOf(Math.min(...this.#free));
    const end = Math.max(begin, this.#free[next]) + this.#latency;
    this.#free[next] = end;
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
 * everything else (a target has another name until it is complete), is on slow disks if that is what is simulated.
 */
function keepInMemory(/** @type {Files} */ files, /** @type {Simulated['what']} */ what, /** @type {Servers} */ disks) {
  const [source, target] = [0x55, 0].map((byte) => new Uint8Array(SIZE + METADATA).fill(byte));
  const open = files.open.bind(files);
  files.open = async (name, options) => {
    const handle = await open(name, options);
    const content = name === SOURCE ? source : target;
    const isSlow = what === 'source' ? name === SOURCE : what === 'target' && name !== SOURCE;
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
 * A server whose answers take their time, as many at a time as there are connections.
 * @returns {NonNullable<import('../src/testing.ts').Services['http']>}
 */
function serverOf(/** @type {Servers} */ connections) {
  return {
    async request({ headers }) {
      await connections.serve();
      const [, first = 0, asked = 0] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
      const last = Math.min(Number(asked), SIZE - 1);
      let left = last - Number(first) + 1;
      const read = async (/** @type {Uint8Array} */ into) => {
        const count = Math.min(into.length, left);
        into.fill(0x55, 0, count);
        left -= count;
        return count;
      };
      async function* body() {
        const bytes = new Uint8Array(left);
        await read(bytes);
        yield bytes;
      }
      return {
        status: 206,
        headers: { 'content-range': `bytes ${first}-${last}/${SIZE}` },
        body: body(),
        read,
        end: () => undefined,
      };
    },
  };
}

/**
 * A codec whose results nobody looks at: each cluster takes its time on one of the cores, and half of its space.
 * @returns {Codec}
 */
function codecOf(/** @type {Servers} */ cores) {
  return {
    async decompress(_how, _input, into) {
      await cores.serve();
      return into.length;
    },
    decompressBatch: (_how, pieces) =>
      Promise.all(
        pieces.map(async ({ output }) => {
          await cores.serve();
          return output.length;
        }),
      ),
    compressBatch: (_how, input, unit) =>
      Promise.all(
        Array.from({ length: Math.ceil(input.length / unit) }, async () => {
          await cores.serve();
          return new Uint8Array(unit / 2).fill(1);
        }),
      ),
  };
}

/**
 * Converts on a simulated machine.
 * @param {Simulated} simulated
 * @param {string} group
 * @returns {Promise<import('./types.ts').SimulatedResult>}
 */
export async function simulate({ name, what, servers, latency, goal }, group) {
  /** @type {typeof import('../src/testing.ts')} */
  const { drivers, ImageLibrary, MemoryFiles, memoryServices } = await import(LIBRARY);
  const files = new MemoryFiles();
  await files.create(SOURCE, { size: SIZE, preallocation: 'off' });
  const busy = new Servers(servers, latency);
  keepInMemory(files, what, busy);
  const codes = what === 'compress' || what === 'decompress';
  // The clock of services for tests stands still.
  const services = {
    ...memoryServices(files),
    now,
    ...(codes ? { codec: codecOf(busy) } : {}),
    ...(what === 'http' ? { http: serverOf(busy) } : {}),
  };
  const library = new ImageLibrary(drivers, services);
  const raw = { filename: what === 'http' ? `http://server/${SOURCE}` : SOURCE, format: 'raw' };
  const target = { filename: 'target.qcow2', format: 'qcow2' };
  if (what === 'decompress') {
    const made = new ImageLibrary(drivers, { ...services, codec: codecOf(new Servers(1, 0)) });
    await made.convert({ source: raw, target, compress: true });
  }
  const begin = performance.now();
  if (what === 'decompress') await library.convert({ source: target, target: { filename: 'out.raw', format: 'raw' } });
  else await library.convert({ source: raw, target, compress: what === 'compress' });
  const wall = performance.now() - begin;
  const { requests, most, ideal, spent } = busy;
  return { kind: 'simulated', group, name, wall, ideal, requests, average: spent / wall, most, goal };
}
