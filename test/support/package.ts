/** The package as npm makes and installs it, and other versions of Node to run it with. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { must } from './program.ts';

const call = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const nodes = join(root, '.cache/nodes');

/** Makes the package of this checkout, as it is built, in a directory; gives its path. */
export async function pack(directory: string): Promise<string> {
  await must(join(root, 'qimg'), ['--version']);
  // Without scripts: a clean build would take `dist` away from tests that run meanwhile.
  await call('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: root });
  const made = readdirSync(directory).find((name) => name.endsWith('.tgz'));
  if (made === undefined) throw new Error('npm pack has made nothing');
  return join(directory, made);
}

/** Puts a packed package where npm would, with the dependencies of this checkout; gives the path of the command. */
export async function unpack(packed: string, directory: string): Promise<string> {
  const modules = join(directory, 'node_modules');
  mkdirSync(join(modules, '.bin'), { recursive: true });
  await call('tar', ['-xzf', packed, '-C', modules]);
  renameSync(join(modules, 'package'), join(modules, 'qimg'));
  for (const scope of ['@koromix', '@bokuweb']) symlinkSync(join(root, 'node_modules', scope), join(modules, scope));
  const command = join(modules, '.bin/qemu-img');
  symlinkSync('../qimg/qimg', command);
  return command;
}

/** Directories with `bin/node` of these versions, from the registry or from `.cache` where they are kept. */
export async function fetchNodes(versions: readonly string[]): Promise<ReadonlyMap<string, string>> {
  mkdirSync(nodes, { recursive: true });
  const waiting = versions.filter((version) => !existsSync(join(nodes, version, 'bin/node')));
  const fetchNext = async (): Promise<void> => {
    for (let version = waiting.shift(); version !== undefined; version = waiting.shift()) {
      const staging = mkdtempSync(join(nodes, 'fetching-'));
      try {
        const options = ['--ignore-scripts', '--fetch-retries=1', '--fetch-timeout=20000'];
        await call('npm', ['pack', ...options, `node-linux-${process.arch}@${version}`], { cwd: staging });
        const [packed = ''] = readdirSync(staging);
        await call('tar', ['-xzf', packed, 'package/bin/node'], { cwd: staging });
        if (!existsSync(join(nodes, version))) renameSync(join(staging, 'package'), join(nodes, version));
      } finally {
        rmSync(staging, { recursive: true, force: true });
      }
    }
  };
  await Promise.all([fetchNext(), fetchNext()]);
  return new Map(versions.map((version) => [version, join(nodes, version, 'bin')]));
}

/** Installs a packed package with npm; gives the path of the command. */
export async function install(packed: string, directory: string): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=1', '--fetch-timeout=20000'];
  await call('npm', ['install', '--prefix', directory, ...options, packed], { cwd: directory });
  return join(directory, 'node_modules/.bin/qimg');
}
