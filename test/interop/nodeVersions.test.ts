/**
 * The installed package under other versions of Node, which come from the registry. V8 crashes on a code cache that another
 * build of its version has made: each Node must make its own, and look at it before V8 does.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchNodes, install, pack } from '../support/package.ts';
import { run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';

const TOO_OLD = '18.20.8';
const VERSIONS = ['20.0.0', '20.18.0', '20.19.5', '20.20.1', '21.7.3', '22.23.5', '24.22.3'];
const COMMANDS = [
  '--version',
  'convert -f raw -O qcow2 -o cluster_size=4k source out.qcow2',
  'convert -c -f raw -O qcow2 source packed.qcow2',
  'info packed.qcow2',
  'check out.qcow2',
];

let directory = '';
let command = '';
let nodes: ReadonlyMap<string, string> = new Map();
let unreachable = '';
try {
  directory = mkdtempSync(join(tmpdir(), 'qimg-versions-'));
  const packed = await pack(directory);
  [nodes, command] = await Promise.all([
    fetchNodes([TOO_OLD, ...VERSIONS]),
    install(packed, join(directory, 'installed here')),
  ]);
} catch (thrown) {
  const text = String(thrown);
  if (process.env['QIMG_NO_SKIP'] === '1' || !/ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|FETCH/.test(text))
    throw thrown;
  unreachable = text;
  process.stderr.write('interop: other versions of Node are not tried: the registry of npm cannot be reached\n');
}
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const lack = unreachable === '' ? undefined : 'the npm registry cannot be reached (a network is needed)';
describe.skipIf(lack !== undefined)(`the installed package${because(lack)}`, { timeout: 240_000 }, () => {
  const caches = (): string => join(dirname(command), '../qimg/dist/bin/cache');
  const cachesOf = (version: string): string[] =>
    readdirSync(caches()).filter((name) => name.includes(`.v${version}.`));

  function start(version: string, line: string): ReturnType<typeof run> {
    const env = { PATH: `${nodes.get(version) ?? ''}:${process.env['PATH'] ?? ''}` };
    return run(command, words(line), { cwd: directory, env });
  }

  async function tryAll(version: string): Promise<void> {
    for (const line of COMMANDS) {
      const { code, stderr } = await start(version, line);
      expect({ version, line, code, stderr }).toEqual({ version, line, code: 0, stderr: '' });
    }
  }

  beforeAll(() => {
    const bytes = Buffer.alloc(1048576);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
    writeFileSync(join(directory, 'source'), bytes);
  });

  it.each(VERSIONS)('runs under Node %s, with the caches of others beside its own', async (version) => {
    // The first run of all learns what its Node knows.
    await tryAll(version);
    await tryAll(version);
    const own = cachesOf(version);
    expect(new Set(own.map((name) => name.split('.')[1]))).toEqual(new Set(['check', 'convert', 'info', 'other']));
    await tryAll(version);
    expect(cachesOf(version)).toEqual(own);
  });

  it('refuses the caches of other versions under the names of its own', async () => {
    for (const name of ['check', 'convert', 'info', 'other']) {
      const paths = VERSIONS.flatMap((version) =>
        cachesOf(version).filter((found) => found.split('.')[1] === name),
      ).map((found) => join(caches(), found));
      const contents = paths.map((path) => readFileSync(path));
      paths.forEach((path, index) => {
        writeFileSync(`${path}.part`, contents[(index + 1) % contents.length] ?? '');
        renameSync(`${path}.part`, path);
      });
    }
    for (const version of VERSIONS) await tryAll(version);
  });

  it('says in one line that Node is too old', async () => {
    for (const line of COMMANDS) {
      const { code, stdout, stderr } = await start(TOO_OLD, line);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^qimg: Node\.js \d[\d.]* or newer is needed, this is v18\.20\.8 \(.*\)\n$/);
    }
  });
});
