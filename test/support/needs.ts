/** What some tests need besides Node. Where it is not there they are skipped, and say in their name what would help. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from './otherPrograms.ts';
import type { Lack } from './skip.ts';

/** Programs that tests use, and the Debian package with them (which .ci/packages lists, too). */
export function lackOf(programs: readonly string[], debian: string): Lack {
  const missing = programs.filter((program) => !installed(program));
  if (missing.length === 0) return undefined;
  return `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing (apt-get install ${debian})`;
}

/** For tests that only root can run. */
export function lackOfRoot(): Lack {
  return process.getuid?.() === 0 ? undefined : 'only root can do this (run the tests as root)';
}

/** For tests that mount a file system of their own. */
export function lackOfMounts(): Lack {
  if (lackOfRoot() !== undefined) return lackOfRoot();
  const folder = mkdtempSync(join(tmpdir(), 'qimg-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder], { stdio: 'pipe' });
    execFileSync('umount', [folder], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'file systems cannot be mounted here (a container needs CAP_SYS_ADMIN)';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** For tests on a block device that could not be made. */
export function lackOfDevice(device: string | undefined): Lack {
  if (device !== undefined) return undefined;
  return lackOfRoot() ?? lackOf(['losetup'], 'util-linux') ?? 'there are no loop devices here (modprobe loop)';
}
