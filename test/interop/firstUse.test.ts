/** First use of a checkout: what is installed, and what becomes of it when the world is not as it should be. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../support/needs.ts';
import { because } from '../support/skip.ts';

const project = resolve(import.meta.dirname, '../..');
let home = '';

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'qimg-first-use-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A program that stands in for the whole of qimg, so that building is quick. */
const PROGRAM = `import { version } from 'node:process';\nconsole.log('started', version !== '');\n`;

/**
 * Stands in for npm: takes packages from the project, notes how it was called, and does what QIMG_FAKE_NPM says. A
 * registry is not needed, and no test waits for one.
 */
const FAKE_NPM = `#!${process.execPath}
const { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } = require('node:fs');
appendFileSync(process.env.QIMG_FAKE_LOG, JSON.stringify({ args: process.argv.slice(2), env: process.env }) + '\\n');
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const packages = {};
mkdirSync('node_modules');
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '') continue;
  try {
    cpSync(${JSON.stringify(project)} + '/' + path, path, { recursive: true });
    packages[path] = entry;
  } catch {}
  if (process.env.QIMG_FAKE_NPM === 'hangs') setInterval(() => console.log('busy'), 100);
  if (process.env.QIMG_FAKE_NPM === 'hangs') break;
}
if (process.env.QIMG_FAKE_NPM !== 'hangs') writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }));
`;

/** A checkout without packages and without a build. */
function checkout(): string {
  const root = mkdtempSync(join(home, 'a checkout '));
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  for (const name of ['qimg', 'scripts', 'package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(project, name), join(root, name), { recursive: true });
  }
  writeFileSync(join(root, 'src/cli/bin.ts'), PROGRAM);
  mkdirSync(`${root}.bin`);
  writeFileSync(`${root}.bin/npm`, FAKE_NPM);
  chmodSync(`${root}.bin/npm`, 0o755);
  return root;
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function begin(root: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const path = `${root}.bin:${process.env['PATH']}`;
  const log = join(root, 'npm.log');
  return spawn(program, args, {
    cwd: root,
    env: { ...process.env, PATH: path, QIMG_FAKE_LOG: log, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

async function ended(child: ChildProcess): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (text) => (stdout += String(text)));
  child.stderr?.on('data', (text) => (stderr += String(text)));
  const status = await new Promise<number | null>((done) => child.on('close', (code) => done(code)));
  return { status, stdout, stderr };
}

async function launch(root: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return ended(begin(root, join(root, 'qimg'), [], env));
}

/** Runs `install` of scripts/lib/install.mjs as the launcher does. */
async function install(root: string, env: NodeJS.ProcessEnv): Promise<Outcome & { readonly seconds: number }> {
  const code = `
    import { install } from ${JSON.stringify(join(root, 'scripts/lib/install.mjs'))};
    await install(${JSON.stringify(root)}, 'program').catch((error) => { console.error(error.message); process.exit(1); });`;
  const start = performance.now();
  const outcome = await ended(begin(root, process.execPath, ['--input-type=module', '-e', code], env));
  return { ...outcome, seconds: (performance.now() - start) / 1000 };
}

interface Call {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** How npm was called. */
function calls(root: string): Call[] {
  const log = join(root, 'npm.log');
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Call);
}

function packagesIn(root: string): string[] {
  return readdirSync(join(root, 'node_modules')).filter((name) => !name.startsWith('.'));
}

/** The first parts of the names that `package.json` gives to what is needed to build and to run. */
function needed(): string[] {
  type Names = Readonly<Record<string, string>>;
  const text = readFileSync(join(project, 'package.json'), 'utf8');
  const manifest = JSON.parse(text) as { readonly dependencies: Names; readonly optionalDependencies: Names };
  const all = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
  // What is for other platforms only stays out.
  const names = all.filter((name) => name !== 'pako' && name !== '@noble/hashes');
  return ['rolldown', '@rolldown', '@oxc-project', ...names.map((name) => name.split('/')[0] ?? '')];
}

/** One that waited for the installation of another only builds. */
const SAYS = /^qimg: first use: (installing and )?building \.\.\.\n(qimg: still .*\.\.\.\n)*$/;

describe('first use', () => {
  it('installs what building and running needs, once for all that start together, and leaves nothing else', async () => {
    const root = checkout();
    const outcomes = await Promise.all([launch(root), launch(root), launch(root)]);
    for (const { status, stdout, stderr } of outcomes) {
      expect({ status, stdout }).toEqual({ status: 0, stdout: 'started true\n' });
      expect(stderr).toMatch(SAYS);
    }
    expect(outcomes.some(({ stderr }) => stderr.includes('installing'))).toBe(true);
    expect(calls(root)).toHaveLength(1);
    expect(packagesIn(root)).toEqual(expect.arrayContaining(['rolldown', '@bokuweb']));
    expect(packagesIn(root).filter((name) => !needed().includes(name))).toEqual([]);
    expect(readdirSync(join(root, '.cache'))).toEqual([]);
  });

  it('keeps the settings of its caller from npm, but not those about the network', async () => {
    const root = checkout();
    const env = {
      NODE_ENV: 'production',
      NODE_PATH: '/nowhere',
      npm_config_global: 'true',
      npm_config_omit: 'dev optional',
      npm_config_local_prefix: '/nowhere',
      npm_lifecycle_event: 'test',
      INIT_CWD: '/nowhere',
      npm_config_registry: 'http://registry.invalid',
      npm_config_https_proxy: 'http://proxy.invalid',
      NODE_EXTRA_CA_CERTS: join(root, 'package.json'),
    };
    expect(await launch(root, env)).toMatchObject({ status: 0 });
    const [call] = calls(root);
    const seen = Object.keys(env).filter((name) => call?.env[name] !== undefined);
    expect(seen.sort()).toEqual(['NODE_EXTRA_CA_CERTS', 'npm_config_https_proxy', 'npm_config_registry']);
  });

  it('mends what a kill has left, in npm and while it builds', async () => {
    const root = checkout();
    const killed = begin(root, join(root, 'qimg'), [], { QIMG_FAKE_NPM: 'hangs' });
    const end = ended(killed);
    for (let tries = 0; calls(root).length === 0 && tries < 600; tries++)
      await new Promise((next) => setTimeout(next, 50));
    process.kill(-(killed.pid ?? 0), 'SIGKILL');
    await end;
    expect(existsSync(join(root, 'node_modules'))).toBe(false);
    expect(existsSync(join(root, '.cache/lock'))).toBe(true);
    expect(await launch(root)).toMatchObject({ status: 0, stdout: 'started true\n' });
    // What a kill during the build leaves: its directory, a lock, no stamp.
    rmSync(join(root, 'dist'), { recursive: true });
    mkdirSync(join(root, '.cache/build-killed'));
    writeFileSync(join(root, '.cache/build-killed/program.cjs'), 'half of');
    expect(await launch(root)).toMatchObject({ status: 0, stdout: 'started true\n' });
    expect(calls(root)).toHaveLength(2);
    expect(readdirSync(join(root, '.cache'))).toEqual([]);
  });

  it('builds where Node has no util.styleText for lists yet', async () => {
    const root = checkout();
    writeFileSync(join(root, 'old.cjs'), "delete require('node:util').styleText;\n");
    const args = ['--require', join(root, 'old.cjs'), join(root, 'scripts/first-use.mjs')];
    const { status, stderr } = await ended(begin(root, process.execPath, args, {}));
    expect(status).toBe(0);
    expect(stderr).toMatch(SAYS);
    expect(await launch(root)).toEqual({ status: 0, stdout: 'started true\n', stderr: '' });
  });

  it('says in one line that there is no npm', async () => {
    const root = checkout();
    rmSync(`${root}.bin/npm`);
    writeFileSync(`${root}.bin/node`, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 });
    const { status, stderr } = await ended(begin(root, '/bin/sh', ['./qimg'], { PATH: `${root}.bin` }));
    expect(status).toBe(1);
    expect(stderr.split('\n').at(-2)).toBe(
      'qimg: cannot install the dependencies: npm, which comes with Node.js, was not found in PATH',
    );
  });
});

const noNpm = lackOf(['npm'], 'npm');
describe.skipIf(noNpm !== undefined)(`the npm registry${because(noNpm)}`, () => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.close();
  });

  async function listen(server: Server): Promise<string> {
    servers.push(server);
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function environment(root: string, registry: string): NodeJS.ProcessEnv {
    rmSync(`${root}.bin/npm`);
    return {
      npm_config_registry: registry,
      npm_config_cache: join(root, 'npm-cache'),
      npm_config_noproxy: '127.0.0.1',
    };
  }

  /** Asks for small packages with the names of the real ones: `rolldown`, which builds, and `data`. */
  function furnish(root: string): Record<string, Buffer> {
    const version = '1.0.0';
    const names = { dependencies: { data: version }, devDependencies: { rolldown: version } };
    const entry = { version };
    const packages = {
      '': { name: 'small', version, ...names },
      'node_modules/data': entry,
      'node_modules/rolldown': entry,
    };
    writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'small', version, ...names }));
    writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, requires: true, packages }));
    const archives: Record<string, Buffer> = {};
    for (const name of ['data', 'rolldown']) {
      const folder = join(root, 'archive', name);
      mkdirSync(join(folder, 'package'), { recursive: true });
      writeFileSync(join(folder, 'package/package.json'), JSON.stringify({ name, version }));
      writeFileSync(
        join(folder, 'package/noise'),
        Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * i * 7) >> 3)),
      );
      archives[name] = execFileSync('tar', ['-czf', '-', '-C', folder, 'package'], { maxBuffer: 1 << 22 });
    }
    return archives;
  }

  it('is given up in 15 seconds when it is silent, and told apart from a slow one', { timeout: 180_000 }, async () => {
    const dead = checkout();
    const silent = await listen(createServer(() => {}));
    const slow = checkout();
    const archives = furnish(slow);
    // The first byte after 3 seconds, the last after 15 more: longer than a silent one is waited for.
    const crawling = createHttpServer((request, response) => {
      const name = /^\/(\w+)/.exec(request.url ?? '')?.[1] ?? '';
      const archive = archives[name] ?? Buffer.alloc(0);
      const tarball = `http://${request.headers.host}/${name}/archive`;
      const versions = { '1.0.0': { name, version: '1.0.0', dist: { tarball } } };
      const page = Buffer.from(JSON.stringify({ name, 'dist-tags': { latest: '1.0.0' }, versions }));
      const body = request.url?.endsWith('/archive') ? archive : page;
      const pieces = request.url?.endsWith('/archive') ? 15 : 1;
      const size = Math.ceil(body.length / pieces);
      response.setHeader('content-length', body.length);
      for (let piece = 0; piece < pieces; piece++) {
        setTimeout(() => response.write(body.subarray(piece * size, (piece + 1) * size)), 3000 + piece * 1000);
      }
      setTimeout(() => response.end(), 3000 + pieces * 1000);
    });
    const [one, two] = await Promise.all([
      install(dead, environment(dead, silent)),
      listen(crawling).then((registry) => install(slow, environment(slow, registry))),
    ]);
    expect(one.status).toBe(1);
    expect(one.stderr).toMatch(
      /^cannot install the dependencies: the npm registry does not answer \(.*npm config set.*\)\n$/,
    );
    expect(one.seconds).toBeLessThan(25);
    expect(two).toMatchObject({ status: 0, stderr: '' });
    expect(two.seconds).toBeGreaterThan(15);
    expect(packagesIn(slow).sort()).toEqual(['data', 'rolldown']);
    expect(existsSync(join(dead, 'node_modules'))).toBe(false);
  });

  it('is given up soon when it refuses, with the way out in the line', { timeout: 300_000 }, async () => {
    const root = checkout();
    const refusing = createServer(() => {});
    const address = await listen(refusing);
    await new Promise((closed) => refusing.close(closed));
    const { status, stderr } = await install(root, environment(root, address));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^cannot install the dependencies: .*ECONNREFUSED.* \(.*npm config set.*\)\n$/);
  });
});
