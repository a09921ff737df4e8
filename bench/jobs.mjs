/** The measured jobs. Each is a command line that both programs understand, on inputs made by the real program. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Directories whose files fill the test disk: executables, libraries and text, as on a real disk. */
const SOURCES = ['/usr/lib', '/usr/bin', '/usr/share'];

/** Fills a raw ext4 image of `size` MiB with real files up to about 60 percent. */
function makeDisk(cwd, size) {
  const tree = path.join(cwd, 'tree');
  fs.mkdirSync(tree);
  let left = size * 0.6 * 1048576;
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
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, path.join(cwd, 'disk.raw'), `${size}M`], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  fs.rmSync(tree, { recursive: true });
}

/**
 * The jobs, in order; later ones use the files of earlier ones.
 * @param where.size MiB of the test disk.
 */
export function* jobs({ cwd, oracle, size }) {
  const real = (...argv) =>
    execFileSync(path.join(oracle, 'qemu-img'), argv, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  makeDisk(cwd, size);
  real('convert', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'disk.qcow2');
  real('convert', '-c', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'zlib.qcow2');
  real('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd', 'disk.raw', 'zstd.qcow2');

  yield { name: 'info', argv: ['info', 'disk.qcow2'] };
  yield { name: 'create qcow2', argv: ['create', '-q', '-f', 'qcow2', 'out.qcow2', '10G'], remove: ['out.qcow2'] };
  yield {
    name: 'raw -> qcow2',
    argv: ['convert', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'out.qcow2'],
    remove: ['out.qcow2'],
  };
  yield {
    name: 'qcow2 -> raw',
    argv: ['convert', '-f', 'qcow2', '-O', 'raw', 'disk.qcow2', 'out.raw'],
    remove: ['out.raw'],
  };
  yield { name: 'qcow2 -> qcow2', argv: ['convert', '-O', 'qcow2', 'disk.qcow2', 'out.qcow2'], remove: ['out.qcow2'] };
  yield {
    name: 'compress zlib',
    argv: ['convert', '-c', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'out.qcow2'],
    remove: ['out.qcow2'],
  };
  yield {
    name: 'compress zstd',
    argv: ['convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd', 'disk.raw', 'out.qcow2'],
    remove: ['out.qcow2'],
  };
  yield { name: 'decompress zlib', argv: ['convert', '-O', 'raw', 'zlib.qcow2', 'out.raw'], remove: ['out.raw'] };
  yield { name: 'decompress zstd', argv: ['convert', '-O', 'raw', 'zstd.qcow2', 'out.raw'], remove: ['out.raw'] };
  yield { name: 'compare raw qcow2', argv: ['compare', 'disk.raw', 'disk.qcow2'], remove: ['out.raw', 'out.qcow2'] };
  yield { name: 'check qcow2', argv: ['check', 'disk.qcow2'] };
  yield { name: 'map qcow2', argv: ['map', '--output=json', 'disk.qcow2'] };
}
