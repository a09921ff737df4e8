/** What stands between the caller and the program when it starts, from a checkout and as an installed package. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { copyIgnoring } from '../support/ignoringSignals.ts';
import { lackOfRoot } from '../support/needs.ts';
import { pack, unpack } from '../support/package.ts';
import { ourProgram, type RunChoice, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';

const root = process.getuid?.() === 0;
/** A user who owns nothing here. */
const OTHER = 54321;

let directory = '';
let installed = '';
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-started-'));
  chmodSync(directory, 0o755);
  installed = await unpack(await pack(directory), join(directory, 'in stalled'));
  symlinkSync(installed, join(directory, 'qemu-img'));
  const bytes = Buffer.alloc(6 << 20);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  writeFileSync(join(directory, 'source'), bytes);
  await start(installed, 'create -q -f qcow2 image 1M');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function start(program: string, line: string, choice: RunChoice = {}): ReturnType<typeof run> {
  // Caches of these programs are not for the user.
  const env = { HOME: join(directory, 'home'), XDG_CACHE_HOME: '', ...choice.env };
  return run(program, words(line), { cwd: directory, ...choice, env });
}

const PROGRAMS = [
  { name: 'the checkout', program: ourProgram },
  { name: 'the installed package', program: () => installed },
  { name: 'a link to the installed package', program: () => join(directory, 'qemu-img') },
];

describe.each(PROGRAMS)('settings for other programs: $name', ({ program }) => {
  const expected = async (): Promise<object> => await start(program(), 'info image');

  it.each([
    { NODE_OPTIONS: '--require=/nonexistent/trace.js' },
    { NODE_OPTIONS: '--no-such-flag' },
    { NODE_OPTIONS: '--trace-exit --trace-sync-io --inspect-publish-uid=stderr --inspect=127.0.0.1:0' },
    { NODE_DEBUG: '*', NODE_DEBUG_NATIVE: 'http2,inspector_server,code_cache' },
    { NODE_REPL_EXTERNAL_MODULE: '/nonexistent.js', NODE_PATH: '/nonexistent', NODE_ICU_DATA: '/nonexistent' },
    { NODE_EXTRA_CA_CERTS: '/nonexistent/certificates.pem', SSL_CERT_FILE: '/nonexistent', NODE_USE_SYSTEM_CA: '1' },
    { OPENSSL_CONF: '/dev/stdin', OPENSSL_MODULES: '/nonexistent', UV_THREADPOOL_SIZE: '0' },
    { NODE_CHANNEL_FD: '77', NODE_UNIQUE_ID: '1', NODE_TEST_CONTEXT: 'child-v8' },
  ])('%o changes nothing', async (env) => {
    expect(await start(program(), 'info image', { env })).toEqual(await expected());
  });

  it('leave no files behind', async () => {
    const names = ['NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE', 'NODE_REDIRECT_WARNINGS', 'NODE_REPL_HISTORY'];
    const env = Object.fromEntries(names.map((name) => [name, join(directory, name)]));
    await start(program(), 'info image', { env });
    expect(names.filter((name) => existsSync(join(directory, name)))).toEqual([]);
  });

  it('do not reach the program, only the certificates for connections do, under another name', async () => {
    const report = join(directory, 'environment.json');
    const spy = join(directory, 'spy.cjs');
    // Workers would load it, too.
    const write = `require('node:fs').writeFileSync(${JSON.stringify(report)}, JSON.stringify(process.env))`;
    writeFileSync(spy, `process.on('exit', () => { if (require('node:worker_threads').isMainThread) ${write}; });`);
    // All that this version of Node lists, except the time zone, and colours, which are the terminal's.
    const help = spawnSync(process.execPath, ['--help'], { encoding: 'utf8' }).stdout.split(
      'Environment variables:',
    )[1];
    const listed = [...(help ?? '').matchAll(/^([A-Z][A-Z0-9_]+)/gm)].map(([, name]) => name ?? '');
    expect(listed).toContain('NODE_V8_COVERAGE');
    const foreign = ['NODE_OPTIONS', ...listed.filter((name) => !['TZ', 'FORCE_COLOR', 'NO_COLOR'].includes(name))];
    const env = {
      ...Object.fromEntries(foreign.map((name) => [name, '1'])),
      QIMG_NODE_OPTIONS: `--require=${spy}`,
      QIMG_IGNORED_SIGNALS: '65535',
    };
    expect(await start(program(), 'info image', { env })).toEqual(await expected());
    const seen = JSON.parse(readFileSync(report, 'utf8')) as Record<string, string>;
    expect(foreign.filter((name) => name in seen)).toEqual(['NODE_OPTIONS']);
    expect(seen).toMatchObject({ NODE_OPTIONS: `--require=${spy}`, QIMG_EXTRA_CA_CERTS: '1' });
    expect(seen).not.toHaveProperty('QIMG_IGNORED_SIGNALS');
  });
});

/** The mask of signals that a process ignores: signal n is bit n - 1. */
function ignoredBy(pid: number): number {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number.parseInt(mask ?? '', 16);
}

describe.each(PROGRAMS)('signals that the caller ignores: $name', ({ program }) => {
  beforeEach(() => rmSync(join(directory, 'out'), { force: true }));

  it('stay ignored', async () => {
    const { child, pid, end } = await copyIgnoring(program(), 'HUP INT QUIT TERM TSTP TTOU USR2', directory);
    // SIGTTOU must be ignored by the kernel: what writes to a terminal would be interrupted for ever.
    const bits = [1, 2, 3, 12, 15, 20, 22].reduce((sum, number) => sum + 2 ** (number - 1), 0);
    expect(ignoredBy(pid) & bits).toBe(bits);
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGTSTP', 'SIGUSR2'] as const) child.kill(signal);
    expect(await end).toEqual([0, null]);
    expect(statSync(join(directory, 'out')).size).toBeGreaterThan(6 << 20);
  });

  it('do not keep others from ending it', async () => {
    const before = readdirSync(directory).length;
    const { child, end } = await copyIgnoring(program(), 'HUP INT', directory);
    child.kill('SIGHUP');
    child.kill('SIGTERM');
    expect(await end).toEqual([null, 'SIGTERM']);
    expect(readdirSync(directory)).toHaveLength(before);
  });
});

describe('signals that the caller ignores', () => {
  it('end nothing without the C library, either', async () => {
    const native = join(directory, 'in stalled/node_modules/@koromix');
    renameSync(native, `${native}-away`);
    try {
      const { child, end } = await copyIgnoring(installed, 'HUP INT TERM', directory);
      for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) child.kill(signal);
      expect(await end).toEqual([0, null]);
    } finally {
      renameSync(`${native}-away`, native);
    }
  });
});

describe('code caches', () => {
  const bin = (): string => join(directory, 'in stalled/node_modules/qimg/dist/bin');
  const caches = (): string => join(bin(), 'cache');
  const infoCache = (): string => {
    const name = readdirSync(caches()).find((found) => found.includes('.info.'));
    if (name === undefined) throw new Error('there is no cache');
    return join(caches(), name);
  };
  const cacheNames = (place: string): string[] => readdirSync(place).filter((found) => found.endsWith('.cache'));
  let answer = {};

  /** The command is right, whatever is wrong with a cache. */
  async function rightly(choice: RunChoice = {}): Promise<void> {
    expect(await start(installed, 'info image', choice)).toEqual(answer);
  }

  beforeEach(async () => {
    answer = await start(installed, 'info image');
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    for (const place of [caches(), join(directory, 'home')]) rmSync(place, { recursive: true, force: true });
    // The first run learns what Node knows, the second what is used, the third makes V8's data.
    for (let runs = 0; runs < 3; runs++) await rightly();
  });

  it('are not in the package, which is small', () => {
    const packed = readdirSync(directory).find((name) => name.endsWith('.tgz')) ?? '';
    const { stdout } = spawnSync('tar', ['-tvzf', packed], { cwd: directory, encoding: 'utf8' });
    const lines = stdout.split('\n').filter((line) => line !== '');
    expect(stdout).not.toContain('cache/');
    expect(lines.reduce((sum, line) => sum + Number(line.split(/\s+/)[2]), 0)).toBeLessThan(4_500_000);
  });

  it('are made by the first runs, and then kept', async () => {
    await rightly();
    const { ino } = statSync(infoCache());
    await rightly();
    expect(statSync(infoCache()).ino).toBe(ino);
    expect(readdirSync(caches()).sort()).toEqual(['node', 'node.newer', 'node.older', ...cacheNames(caches())]);
    expect(cacheNames(caches())).toHaveLength(1);
    // The smallest one.
    for (let runs = 0; runs < 3; runs++) await start(installed, '--version');
    const small = cacheNames(caches()).find((name) => name.includes('.other.')) ?? '';
    const kept = statSync(join(caches(), small)).ino;
    await start(installed, '--version');
    expect(statSync(join(caches(), small)).ino).toBe(kept);
  });

  it('are refused and made again when they are damaged', async () => {
    const whole = readFileSync(infoCache());
    const flipped = (at: number): Buffer =>
      Buffer.from(whole.map((byte, index) => (index === at ? byte ^ 0x10 : byte)));
    const places = Array.from({ length: 8 }, () => Math.floor(Math.random() * whole.length));
    const damaged = [
      Buffer.alloc(0),
      Buffer.alloc(whole.length),
      whole.subarray(0, whole.length >> 1),
      whole.subarray(0, whole.length - 1),
      whole.subarray(0, 100),
      Buffer.concat([whole, Buffer.alloc(4096)]),
      Buffer.concat([whole.subarray(0, 8192), Buffer.alloc(whole.length - 8192)]),
      ...[0, 200, 600, 40_000, ...places].map(flipped),
    ];
    for (const content of damaged) {
      writeFileSync(infoCache(), content);
      await rightly();
    }
    const path = infoCache();
    rmSync(path);
    mkdirSync(path);
    await rightly();
    rmSync(path, { recursive: true });
    symlinkSync('/dev/zero', path);
    await rightly();
    expect(statSync(path)).toMatchObject({ nlink: 1 });
  });

  it('are not taken from a file that others can write to', async () => {
    chmodSync(infoCache(), 0o666);
    await rightly();
    expect(statSync(infoCache()).mode & 0o777).toBe(0o644);
    if (!root) return;
    chownSync(infoCache(), OTHER, OTHER);
    await rightly();
    expect(statSync(infoCache()).uid).toBe(0);
  });

  it('are not made for an unknown command, nor where that is switched off', async () => {
    rmSync(caches(), { recursive: true });
    await rightly({ env: { QIMG_NO_CODE_CACHE: '1' } });
    expect(existsSync(caches())).toBe(false);
    for (const line of ['infos', '../../x', '-x']) await start(installed, line);
    expect(cacheNames(caches()).map((name) => name.split('.')[1])).toEqual(['other']);
  });

  it('are looked for in the directory of the user, where the program cannot be written to', async () => {
    rmSync(caches(), { recursive: true });
    const home = mkdtempSync(join(directory, 'home-'));
    const user = root ? { uid: OTHER, gid: OTHER } : {};
    if (root) chownSync(home, OTHER, OTHER);
    else chmodSync(bin(), 0o555);
    try {
      for (let runs = 0; runs < 2; runs++) await rightly({ ...user, env: { HOME: home, XDG_CACHE_HOME: '' } });
      const own = join(home, '.cache/qimg');
      expect(cacheNames(own)).toHaveLength(1);
      expect(statSync(own).mode & 0o777).toBe(0o700);
      // Not where others can write, nor below what is no directory, nor anywhere else.
      chmodSync(own, 0o777);
      for (const name of readdirSync(own)) rmSync(join(own, name));
      for (const place of [home, join(directory, 'source'), 'relative', '']) {
        await rightly({ ...user, env: { HOME: place, XDG_CACHE_HOME: '' } });
      }
      expect(readdirSync(own)).toEqual([]);
      const xdg = { HOME: '/nonexistent', XDG_CACHE_HOME: join(home, 'xdg') };
      for (let runs = 0; runs < 2; runs++) await rightly({ ...user, env: xdg });
      expect(cacheNames(join(home, 'xdg/qimg'))).toHaveLength(1);
      expect(existsSync(caches())).toBe(false);
    } finally {
      chmodSync(bin(), 0o755);
    }
  });

  it('serve a run that uses other modules, and hold these from then on', async () => {
    await start(installed, 'create -q -f vmdk other.vmdk 1M');
    const before = readFileSync(infoCache(), 'latin1').length;
    const first = await start(installed, 'info other.vmdk');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    await rightly();
    expect(await start(installed, 'info other.vmdk')).toEqual(first);
    expect(readFileSync(infoCache(), 'latin1').length).toBeGreaterThan(before);
  });

  const lack = lackOfRoot();
  it.skipIf(lack !== undefined)(`of root are not left with other users${because(lack)}`, async () => {
    rmSync(caches(), { recursive: true });
    const home = mkdtempSync(join(directory, 'home-'));
    chownSync(home, OTHER, OTHER);
    chownSync(bin(), OTHER, OTHER);
    try {
      await rightly({ env: { HOME: home, XDG_CACHE_HOME: '' } });
      expect(readdirSync(home)).toEqual([]);
      expect(existsSync(caches())).toBe(false);
    } finally {
      chownSync(bin(), 0, 0);
    }
  });
});

describe('settings that make Node start quicker', () => {
  const notes = (): string => join(directory, 'in stalled/node_modules/qimg/dist/bin/cache');
  /** The flags with which Node was started. */
  async function flags(line: string, env: Record<string, string> = {}): Promise<readonly string[]> {
    const report = join(directory, 'flags.json');
    const spy = join(directory, 'flags.cjs');
    writeFileSync(spy, `require('fs').writeFileSync(${JSON.stringify(report)}, JSON.stringify(process.execArgv))`);
    const choice = { env: { QIMG_NODE_OPTIONS: `--require=${spy}`, ...env } };
    expect(await start(installed, line, choice)).toMatchObject({ code: 0 });
    return JSON.parse(readFileSync(report, 'utf8')) as readonly string[];
  }
  const QUICK = ['--no-rehash-snapshot', '--v8-pool-size=1'];

  beforeEach(async () => {
    for (const place of [notes(), join(directory, 'home')]) rmSync(place, { recursive: true, force: true });
    expect(await flags('info image')).toEqual([]);
  });

  it('are given once it is known that this Node knows them, to commands that are short', async () => {
    expect(await flags('info image')).toEqual(QUICK);
    expect(await flags('--version')).toEqual(QUICK);
    expect(await flags('convert -O raw image out.raw')).toEqual([]);
  });

  it('are not given to a Node that has taken the place of the known one', async () => {
    const wrapper = join(directory, 'bin');
    mkdirSync(wrapper, { recursive: true });
    writeFileSync(
      join(wrapper, 'node'),
      `#!/bin/sh\ncase $* in *rehash*) exit 9 ;; esac\nexec '${process.execPath}' "$@"\n`,
      { mode: 0o755 },
    );
    expect(await flags('info image', { PATH: `${wrapper}:${process.env['PATH']}` })).toEqual([]);
    // The same name, another file.
    utimesSync(join(notes(), 'node.newer'), 1, 1);
    expect(await flags('info image')).toEqual([]);
    expect(await flags('info image')).toEqual(QUICK);
  });
});
