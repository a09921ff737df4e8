/** The images that rows work on. Each is made when the first row asks for it, by the real program. */
import { execFileSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Directories whose files fill the test disk: executables, libraries and text, as on a real disk. */
const SOURCES = ['/usr/lib', '/usr/bin', '/usr/share'];
const MIB = 1_048_576;
const GIB = 2 ** 30;
const CLUSTER = 65536;
/** Wide images: much address space, little data, all over the place. */
const WIDE_SIZE = 2 ** 40;
const WIDE_WRITES = 10_000;
const WIDE_SNAPSHOTS = 20;
/** An overlay and its base: smaller, since the real program takes its time for them. */
const PAIR_SIZE = 2 ** 36;
const PAIR_WRITES = 2000;
/** `tables.qcow2`: a table of 32 KiB has 4,096 entries. */
const TABLES_SIZE = 512 * GIB;
const TABLES_CLUSTER = 32_768;
/** `scattered.*`: what is in an almost empty image. */
const SCATTERED_SIZE = 64 * GIB;
const SCATTERED_WRITES = 200;
/** `sparse-N.qcow2`: the same data, however large the image. */
const SPARSE_WRITES = 256;
const LAYERS = 20;
/** `part.raw`: what the real program turns into clusters of 512 bytes in bearable time. */
const PART = 0.25;

const ENCRYPTION = 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10';
const SECRET = ['--object', 'secret,id=key,data=passphrase'];

/**
 * The option that gives the secret of an image, told by its name.
 * @param {string} name
 * @returns {string[]}
 */
export function secretOf(name) {
  if (name.endsWith('.luks')) return ['key-secret=key'];
  return name.includes('.encrypted.') ? ['encrypt.key-secret=key'] : [];
}

/**
 * The files of this system that fill disks: programs, libraries, text.
 * @returns {Generator<string>}
 */
export function* systemFiles(/** @type {readonly string[]} */ directories = SOURCES) {
  for (const directory of directories) {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const name = path.join(directory, entry.name);
      if (entry.isDirectory()) yield* systemFiles([name]);
      else if (entry.isFile()) yield name;
    }
  }
}

/** Copies files up to `limit` bytes into `tree`. */
function copyFiles(/** @type {string} */ tree, /** @type {number} */ limit) {
  let left = limit;
  for (const name of systemFiles()) {
    if (left <= 0) return;
    const bytes = fs.statSync(name).size;
    if (bytes > left || bytes === 0) continue;
    const target = path.join(tree, name);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.copyFileSync(name, target);
    left -= bytes;
  }
}

/** Fractions that look random and are the same in every run for the same name. */
function* fractions(/** @type {string} */ name) {
  const seed = Buffer.from(name).reduce((sum, byte) => (sum * 31 + byte) % 2_147_483_648, 0);
  for (let state = seed; ; state = (state * 1_103_513 + 12_345) % 2_147_483_648) {
    yield state / 2_147_483_648;
  }
}

/** Writes what nobody can compress, and what is the same in every run. */
function writeNoise(/** @type {string} */ file, /** @type {number} */ mebibytes) {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16));
  const zeroes = Buffer.alloc(MIB);
  const fd = fs.openSync(file, 'w');
  for (let i = 0; i < mebibytes; i++) fs.writeSync(fd, cipher.update(zeroes));
  fs.closeSync(fd);
}

/**
 * The inputs by file name: each has a maker, which makes its file and may use others.
 * @param {object} where
 * @param {string} where.cwd Directory of the files.
 * @param {string} where.real Directory of the real programs.
 * @param {number} where.size MiB of the test disk.
 * @returns {(name: string) => void} makes a file unless that was done already.
 */
export function inputs({ cwd, real, size }) {
  const run = (
    /** @type {string} */ program,
    /** @type {readonly string[]} */ argv,
    /** @type {string} */ input = '',
  ) => execFileSync(path.join(real, program), argv, { cwd, input, stdio: ['pipe', 'ignore', 'inherit'] });
  const image = (/** @type {string[]} */ ...argv) => run('qemu-img', argv);
  const file = (/** @type {string} */ name) => path.join(cwd, name);
  /** Has the real program do writes, given as [place, length] in words of qemu-io. */
  const write = (/** @type {string} */ name, /** @type {readonly (readonly [number | string, string])[]} */ writes) => {
    const lines = writes.map(([place, length], i) => `write -P ${1 + (i % 250)} ${place} ${length}\n`);
    run('qemu-io', ['-t', 'unsafe', '-f', path.extname(name).slice(1), name], lines.join(''));
  };
  const scatter = (
    /** @type {string} */ name,
    /** @type {number} */ bytes,
    /** @type {number} */ count,
    places = fractions(name),
  ) => {
    const place = () => Math.floor((Number(places.next().value) * bytes) / CLUSTER) * CLUSTER;
    write(
      name,
      Array.from({ length: count }, () => /** @type {const} */ ([place(), '4k'])),
    );
  };
  /** Writes that are the same distance apart, from `first` on. */
  const evenly = (
    /** @type {string} */ name,
    /** @type {number} */ bytes,
    /** @type {number} */ step,
    /** @type {string} */ length,
    first = 0,
  ) => {
    const count = Math.ceil((bytes - first) / step);
    write(
      name,
      Array.from({ length: count }, (_, i) => /** @type {const} */ ([first + i * step, length])),
    );
  };
  const create = (/** @type {string} */ name, /** @type {number} */ bytes, /** @type {string[]} */ ...options) =>
    image('create', '-q', '-f', path.extname(name).slice(1), ...options, name, String(bytes));
  const overlay = (/** @type {string} */ name, /** @type {string} */ base) => {
    need(base);
    image('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', name);
  };
  const fromRaw = (/** @type {string} */ name, /** @type {string[]} */ ...options) => {
    need('disk.raw');
    image('convert', '-f', 'raw', '-O', path.extname(name).slice(1), ...options, 'disk.raw', name);
  };

  /** @type {Record<string, () => unknown>} */
  const makers = {
    'small.qcow2': () => create('small.qcow2', 10 * GIB),
    'disk.raw'() {
      const tree = file('tree');
      fs.rmSync(tree, { recursive: true, force: true });
      fs.mkdirSync(tree);
      copyFiles(tree, size * 0.6 * MIB);
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, file('disk.raw'), `${size}M`], {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
      });
      fs.rmSync(tree, { recursive: true });
    },
    'disk.copy.raw': () => fromRaw('disk.copy.raw'),
    'zlib.qcow2': () => fromRaw('zlib.qcow2', '-c'),
    'zstd.qcow2': () => fromRaw('zstd.qcow2', '-c', '-o', 'compression_type=zstd'),
    'stream.vmdk': () => fromRaw('stream.vmdk', '-o', 'subformat=streamOptimized'),
    'disk.luks': () => fromRaw('disk.luks', '-o', 'key-secret=key,iter-time=10', ...SECRET),
    'disk.encrypted.qcow2': () => fromRaw('disk.encrypted.qcow2', '-o', ENCRYPTION, ...SECRET),
    'extended.qcow2': () => fromRaw('extended.qcow2', '-o', 'extended_l2=on,cluster_size=128k'),
    'empty.raw': () => image('create', '-q', '-f', 'raw', 'empty.raw', `${size}M`),
    'empty.qcow2': () => image('create', '-q', '-f', 'qcow2', 'empty.qcow2', `${size}M`),
    'noise.raw': () => writeNoise(file('noise.raw'), size),
    'part.raw'() {
      need('disk.raw');
      const count = Math.ceil(size * PART);
      image('dd', '-f', 'raw', '-O', 'raw', 'bs=1M', `count=${count}`, 'if=disk.raw', 'of=part.raw');
    },
    'bytes512.qcow2'() {
      need('part.raw');
      image('convert', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=512', 'part.raw', 'bytes512.qcow2');
    },
    'scattered.raw'() {
      create('scattered.raw', SCATTERED_SIZE);
      scatter('scattered.raw', SCATTERED_SIZE, SCATTERED_WRITES);
    },
    'scattered.qcow2'() {
      need('scattered.raw');
      image('convert', '-f', 'raw', '-O', 'qcow2', 'scattered.raw', 'scattered.qcow2');
    },
    'overlay.qcow2'() {
      overlay('overlay.qcow2', 'disk.qcow2');
      evenly('overlay.qcow2', size * MIB, MIB, '128k');
    },
    'tables.qcow2'() {
      create('tables.qcow2', TABLES_SIZE, '-o', `cluster_size=${TABLES_CLUSTER}`);
      evenly('tables.qcow2', TABLES_SIZE, (TABLES_CLUSTER / 8) * TABLES_CLUSTER, '4k');
    },
    'wide.qcow2'() {
      create('wide.qcow2', WIDE_SIZE);
      const places = fractions('wide.qcow2');
      for (let i = 0; i < WIDE_SNAPSHOTS; i++) {
        scatter('wide.qcow2', WIDE_SIZE, WIDE_WRITES / WIDE_SNAPSHOTS, places);
        image('snapshot', '-c', `snapshot${i}`, 'wide.qcow2');
      }
    },
    'wide-base.qcow2'() {
      create('wide-base.qcow2', PAIR_SIZE);
      scatter('wide-base.qcow2', PAIR_SIZE, PAIR_WRITES);
    },
    'wide-overlay.qcow2'() {
      overlay('wide-overlay.qcow2', 'wide-base.qcow2');
      scatter('wide-overlay.qcow2', PAIR_SIZE, PAIR_WRITES);
    },
  };

  /** Inputs with a number in their names. */
  const families = {
    /** The test disk, several times over. */
    'times-N.raw'(/** @type {number} */ times) {
      need('disk.raw');
      image(
        'convert',
        '-f',
        'raw',
        '-O',
        'raw',
        ...Array.from({ length: times }, () => 'disk.raw'),
        `times-${times}.raw`,
      );
    },
    'metadata-N.qcow2': (/** @type {number} */ gibibytes) =>
      create(`metadata-${gibibytes}.qcow2`, gibibytes * GIB, '-o', 'preallocation=metadata'),
    'sparse-N.qcow2'(/** @type {number} */ gibibytes) {
      create(`sparse-${gibibytes}.qcow2`, gibibytes * GIB);
      evenly(`sparse-${gibibytes}.qcow2`, gibibytes * GIB, (gibibytes * GIB) / SPARSE_WRITES, '1M');
    },
    /** A chain: each layer has something of its own. */
    'layer-N.qcow2'(/** @type {number} */ layer) {
      overlay(`layer-${layer}.qcow2`, layer === 1 ? 'disk.qcow2' : `layer-${layer - 1}.qcow2`);
      evenly(`layer-${layer}.qcow2`, size * MIB, LAYERS * MIB, '128k', layer * MIB);
    },
  };

  const need = (/** @type {string} */ name) => {
    // A file that is complete: the next run may find it (`--keep`).
    const mark = file(`${name}.made`);
    if (fs.existsSync(mark)) return;
    fs.rmSync(file(name), { force: true });
    const number = Number(/-(\d+)\./.exec(name)?.[1]);
    const family = families[/** @type {keyof typeof families} */ (name.replace(/-\d+\./, '-N.'))];
    // `disk.FORMAT` needs no maker of its own.
    const make = makers[name] ?? (family ? () => family(number) : () => fromRaw(name));
    make();
    fs.closeSync(fs.openSync(mark, 'w'));
  };
  return need;
}
