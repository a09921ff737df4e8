/** Disk images with a real file system full of real files. */
import { createHash } from 'node:crypto';
import {
  constants,
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { lackOf } from './needs.ts';
import type { Lack } from './skip.ts';
import { systemPath } from './otherPrograms.ts';
import { must } from './program.ts';

/** Trees of ordinary programs, libraries and texts. */
const SOURCES = ['/usr/share', '/usr/lib', '/usr/bin', '/usr/include'];
/** One huge file would be all there is. */
const LARGEST = 12 * 1048576;

/** Why no file systems can be made; undefined if they can. */
export function lackOfFileSystems(): Lack {
  return lackOf(['mke2fs', 'e2fsck'], 'e2fsprogs');
}

/** Regular files below a folder, in a steady order. */
function* filesBelow(folder: string): Generator<{ readonly path: string; readonly size: number }> {
  if (!existsSync(folder)) return;
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield { path, size: statSync(path).size };
  }
}

/** Copies files until there are `bytes` of them, an even share from each source. */
function fill(target: string, bytes: number): void {
  const room = new Map(SOURCES.map((folder) => [folder, bytes / SOURCES.length]));
  let carried = 0;
  for (const folder of SOURCES) {
    let left = (room.get(folder) ?? 0) + carried;
    for (const { path, size } of filesBelow(folder)) {
      if (size > LARGEST || size > left) continue;
      mkdirSync(join(target, dirname(path)), { recursive: true });
      copyFileSync(path, join(target, path), constants.COPYFILE_FICLONE);
      // A small file takes a block and an inode.
      left -= size + 4096;
      if (left < 65536) break;
    }
    carried = Math.max(0, left);
  }
}

/** Makes a raw image of `mib` MiB with an ext4 file system that real files fill to about a half. */
export async function makeFileSystem(image: string, mib: number): Promise<void> {
  const folder = mkdtempSync(`${image}-files-`);
  try {
    fill(folder, mib * 1048576 * 0.5);
    rmSync(image, { force: true });
    writeFileSync(image, '');
    truncateSync(image, mib * 1048576);
    await must('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', folder, image], { env: systemPath });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Throws unless the file system in a raw image is sound. */
export async function soundFileSystem(image: string): Promise<void> {
  // Its first line of output, the version, comes as an error.
  await must('sh', ['-c', 'e2fsck -fn "$0" 2>&1', image], { env: systemPath });
}

/** SHA-256 of a file. */
export async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1048576 })) hash.update(piece as Buffer);
  return hash.digest('hex');
}
