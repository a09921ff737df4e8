/** The images that jobs work on. Each is made when the first job asks for it, by the real program. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Directories whose files fill the test disk: executables, libraries and text, as on a real disk. */
const SOURCES = ['/usr/lib', '/usr/bin', '/usr/share'];
const CLUSTER = 65536;
/** Wide images: much address space, little data, all over the place. */
const WIDE_SIZE = 2 ** 40;
const WIDE_WRITES = 10_000;
const WIDE_SNAPSHOTS = 20;
/** An overlay and its base: smaller, since the real program takes its time for them. */
const PAIR_SIZE = 2 ** 36;
const PAIR_WRITES = 2000;

/** Options that give the passphrase of encrypted images. */
export const SECRET = ['--object', 'secret,id=key,data=passphrase'];

/** Copies files up to `limit` bytes into `tree`. */
function copyFiles(tree, limit) {
  let left = limit;
  const copy = (directory) => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const name = path.join(directory, entry.name);
      if (left <= 0) return;
      if (entry.isDirectory()) copy(name);
      else if (entry.isFile()) {
        const bytes = fs.statSync(name).size;
        if (bytes > left || bytes === 0) continue;
        const target = path.join(tree, name);
        fs.mkdirSync(path.dirname(target), { recursive: true });
        fs.copyFileSync(name, target);
        left -= bytes;
      }
    }
  };
  for (const source of SOURCES) copy(source);
}

/** Fractions that look random and are the same in every run. */
function* fractions() {
  for (let state = 12_345; ; state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) {
    yield state / 2_147_483_648;
  }
}

/**
 * The inputs by file name; each makes its file and may use others.
 * @param where.size MiB of the test disk.
 */
export function inputs({ cwd, oracle, size }) {
  const run = (program, argv, input) =>
    execFileSync(path.join(oracle, program), argv, { cwd, input, stdio: ['pipe', 'ignore', 'inherit'] });
  const real = (...argv) => run('qemu-img', argv);
  const places = fractions();
  const scatter = (file, bytes, count) => {
    const lines = Array.from({ length: count }, (_, i) => {
      return `write -P ${1 + (i % 250)} ${Math.floor((places.next().value * bytes) / CLUSTER) * CLUSTER} 4k`;
    });
    run('qemu-io', ['-t', 'unsafe', '-f', 'qcow2', file], `${lines.join('\n')}\n`);
  };
  const made = new Set();
  const makers = {
    'disk.raw'() {
      const tree = path.join(cwd, 'tree');
      fs.mkdirSync(tree);
      copyFiles(tree, size * 0.6 * 1_048_576);
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, path.join(cwd, 'disk.raw'), `${size}M`], {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
      });
      fs.rmSync(tree, { recursive: true });
    },
    'zlib.qcow2': () => fromRaw('zlib.qcow2', 'qcow2', '-c'),
    'zstd.qcow2': () => fromRaw('zstd.qcow2', 'qcow2', '-c', '-o', 'compression_type=zstd'),
    'stream.vmdk': () => fromRaw('stream.vmdk', 'vmdk', '-o', 'subformat=streamOptimized'),
    'disk.luks': () => fromRaw('disk.luks', 'luks', '-o', 'key-secret=key,iter-time=10', ...SECRET),
    'encrypted.qcow2'() {
      const options = 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10';
      fromRaw('encrypted.qcow2', 'qcow2', '-o', options, ...SECRET);
    },
    'chain.qcow2'() {
      need('disk.qcow2');
      real('create', '-q', '-f', 'qcow2', '-b', 'disk.qcow2', '-F', 'qcow2', 'middle.qcow2');
      const writes = (step) => Array.from({ length: 100 }, (_, i) => `write -P ${step} ${i * step}M 700k`);
      const fits = (line) => Number(/ (\d+)M/.exec(line)[1]) < size - 1;
      run('qemu-io', ['-f', 'qcow2', 'middle.qcow2'], `${writes(3).filter(fits).join('\n')}\n`);
      real('create', '-q', '-f', 'qcow2', '-b', 'middle.qcow2', '-F', 'qcow2', 'chain.qcow2');
      run('qemu-io', ['-f', 'qcow2', 'chain.qcow2'], `${writes(5).filter(fits).join('\n')}\n`);
    },
    'wide.qcow2'() {
      real('create', '-q', '-f', 'qcow2', 'wide.qcow2', String(WIDE_SIZE));
      for (let i = 0; i < WIDE_SNAPSHOTS; i++) {
        scatter('wide.qcow2', WIDE_SIZE, WIDE_WRITES / WIDE_SNAPSHOTS);
        real('snapshot', '-c', `snapshot${i}`, 'wide.qcow2');
      }
    },
    'base.qcow2'() {
      real('create', '-q', '-f', 'qcow2', 'base.qcow2', String(PAIR_SIZE));
      scatter('base.qcow2', PAIR_SIZE, PAIR_WRITES);
    },
    'overlay.qcow2'() {
      need('base.qcow2');
      real('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'overlay.qcow2');
      scatter('overlay.qcow2', PAIR_SIZE, PAIR_WRITES);
    },
  };
  const fromRaw = (name, format, ...options) => {
    need('disk.raw');
    real('convert', '-f', 'raw', '-O', format, ...options, 'disk.raw', name);
  };
  /** Makes a file unless that was done already; `disk.FORMAT` needs no maker of its own. */
  const need = (name) => {
    if (made.has(name)) return;
    made.add(name);
    const make = makers[name] ?? (() => fromRaw(name, path.extname(name).slice(1)));
    make();
  };
  return need;
}
