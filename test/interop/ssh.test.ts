/** The SSH protocol against the system's sshd: what it does with images, and what can go wrong. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examplesOf } from '../support/examples.ts';
import { must, ourProgram, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';
import { lackOfSshd, Sshd } from '../support/sshd.ts';

const MiB = 1048576;

let directory: string;
let server: Sshd;
/** Where logging in is not what a test is about: one login serves for all. */
let shared: Readonly<Record<string, string>>;
const noSshd = lackOfSshd();
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-ssh-'));
  if (noSshd !== undefined) return;
  server = await Sshd.start(join(directory, 'sshd'));
  shared = await server.share();
});
afterAll(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** The name of a file of the directory on the server. */
const at = (file: string, to = server): string => to.name(join(directory, file));

/** Runs this program, which has to succeed without a word on its error output. */
const ours = (line: string, env = shared): Promise<string> => must(ourProgram(), words(line), { cwd: directory, env });

/** What this program has against a command: one line, and what stands below it. */
async function refusal(line: string, env = server.environment()): Promise<string> {
  const { code, stdout, stderr } = await run(ourProgram(), words(line), { cwd: directory, env });
  expect([code, stdout]).toEqual([1, '']);
  return stderr;
}

/** Bytes that do not look alike anywhere. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 12345;
  for (let index = 0; index < length; index += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, index);
  }
  return bytes;
}

describe.skipIf(noSshd !== undefined)(`files of a server${because(noSshd)}`, () => {
  it('are copied from and to, with parts that are not there', async () => {
    writeFileSync(join(directory, 'from.raw'), noise(24 * MiB));
    truncateSync(join(directory, 'from.raw'), 64 * MiB);
    await ours(`convert -f raw -O qcow2 -W -m 8 ${at('from.raw')} copy.qcow2`);
    await ours('check -q copy.qcow2');
    await ours(`convert -O raw copy.qcow2 ${at('to.raw')}`);
    expect(readFileSync(join(directory, 'to.raw')).equals(readFileSync(join(directory, 'from.raw')))).toBe(true);
    expect(statSync(join(directory, 'to.raw')).blocks * 512).toBeLessThan(25 * MiB);
    expect(await ours(`compare ${at('from.raw')} ${at('to.raw')}`)).toBe('Images are identical.\n');
    await ours(`convert -n -O raw copy.qcow2 ${at('to.raw')}`);
    await ours(`dd if=${at('from.raw')} of=${at('dd.raw')} bs=1M count=2`);
    expect(readFileSync(join(directory, 'dd.raw')).equals(noise(24 * MiB).subarray(0, 2 * MiB))).toBe(true);
    expect(readdirSync(directory).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('hold images of every kind of change', async () => {
    await ours(`create -q -f qcow2 ${at('base.qcow2')} 16M`);
    await ours(`create -q -f qcow2 -b base.qcow2 -F qcow2 ${at('top.qcow2')}`);
    await ours(`bench -w -c 200 -d 16 -s 3000 ${at('top.qcow2')}`);
    await ours(`snapshot -c one ${at('top.qcow2')}`);
    await ours(`bitmap --add ${at('top.qcow2')} b`);
    expect(await ours(`resize ${at('top.qcow2')} 20M`)).toBe('Image resized.\n');
    await ours(`check -q ${at('top.qcow2')}`);
    const info = await ours(`info --backing-chain ${at('top.qcow2')}`);
    expect(info).toContain(`backing file: base.qcow2 (actual path: ${at('base.qcow2')})`);
    await ours('convert -O raw top.qcow2 before.raw');
    await ours(`commit ${at('top.qcow2')}`);
    await ours('check -q base.qcow2');
    expect(await ours('compare before.raw base.qcow2')).toBe('Images are identical.\n');
    await ours(`create -q -f raw ${at('grow.raw')} 1M`);
    await ours(`resize -f raw ${at('grow.raw')} 3M`);
    await ours(`resize -f raw --shrink ${at('grow.raw')} 2M`);
    expect(statSync(join(directory, 'grow.raw')).size).toBe(2 * MiB);
  });

  it('are what the examples of docs/addresses.md are about', async () => {
    const lines = examplesOf('SSH');
    expect(lines.length).toBeGreaterThan(5);
    const fingerprint = createHash('sha256').update(Buffer.from(server.key, 'base64')).digest('hex');
    for (const line of lines) {
      const own = line
        .replace(/^qimg/, ourProgram())
        .replaceAll('ssh://me@server/images/', at('').replace(/\/?$/, '/'))
        .replace(/((?:file\.)?server\.)host=server/, `$1host=127.0.0.1,$1port=${server.port}`)
        .replaceAll('/images/', `${directory}/`)
        .replaceAll('FINGERPRINT', fingerprint);
      const { code, stderr } = await run('sh', ['-c', own], { cwd: directory, env: shared });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
  });

  it('have the form of the real tool', async () => {
    writeFileSync(join(directory, 'odd.raw'), Buffer.alloc(1000));
    expect(await ours(`info -f raw --limits ${at('odd.raw')}`)).toBe(
      [
        `image: ${at('odd.raw')}`,
        'file format: raw',
        'virtual size: 1 KiB (1024 bytes)',
        'disk size: unavailable',
        'Block limits:',
        '    request alignment: 1',
        '    min mem alignment: 512',
        '    opt mem alignment: 4096',
        '    max iov: 1024',
        "Child node '/file':",
        `    filename: ${at('odd.raw')}`,
        '    protocol type: ssh',
        '    file length: 1 KiB (1024 bytes)',
        '    disk size: unavailable',
        '    Block limits:',
        '        request alignment: 512',
        '        min mem alignment: 512',
        '        opt mem alignment: 4096',
        '        max iov: 1024',
        '',
      ].join('\n'),
    );
    expect(await ours(`map -f raw ${at('odd.raw')}`)).toBe(
      `Offset          Length          Mapped to       File\n0               0x400           0               ${at('odd.raw')}\n`,
    );
    expect(await ours(`create -f raw -o help ${at('x.raw')}`)).toBe(
      'Supported options:\n  size=<size>            - Virtual disk size\n',
    );
  });
});

describe.skipIf(noSshd !== undefined)(`the key of a server${because(noSshd)}`, () => {
  const info = (query: string): string => `info ${at('key.raw')}${query}`;
  beforeAll(() => writeFileSync(join(directory, 'key.raw'), Buffer.alloc(512)));

  it('is checked by its hash', async () => {
    server.knows('');
    for (const type of ['md5', 'sha1', 'sha256']) {
      const print = createHash(type).update(Buffer.from(server.key, 'base64')).digest('hex');
      await ours(info(`?host_key_check=${type}:${print.replace(/..(?=.)/g, '$&:')}`));
    }
    expect(await refusal(info('?host_key_check=md5:00'))).toMatch(
      /remote host ssh-ed25519 key fingerprint 'md5:[0-9a-f]{32}' does not match host_key_check 'md5:00'\n$/,
    );
    server.knows(server.line());
  });

  it('has to be known, and to be the one that is known', async () => {
    server.knows('');
    expect(await refusal(info(''))).toMatch(/: no host key was found in known_hosts\n$/);
    server.knows(server.line('other'));
    expect(await refusal(info(''))).toMatch(
      /: host key \(ED25519 key with fingerprint SHA256:\S+\) does not match the one in known_hosts; this may be a possible attack\n$/,
    );
    await ours(info('?host_key_check=no'), server.environment());
    server.knows(server.line());
    await ours(info(''), server.environment());
  });
});

describe.skipIf(noSshd !== undefined)(`servers that${because(noSshd)}`, () => {
  beforeAll(() => writeFileSync(join(directory, 'some.raw'), noise(MiB)));

  it('do not let one in, or are not there', async () => {
    expect(await refusal(`info ${at('some.raw')}`, server.environment('stranger'))).toBe(
      `qemu-img: Could not open '${at('some.raw')}': failed to authenticate using publickey authentication and the ` +
        `identities held by your ssh-agent: ${server.user}@127.0.0.1: Permission denied (publickey)\n`,
    );
    const gone = await Sshd.start(join(directory, 'gone'));
    await gone.stop();
    expect(await refusal(`info ${at('some.raw', gone)}`, gone.environment())).toBe(
      `qemu-img: Could not open '${at('some.raw', gone)}': Failed to connect to '127.0.0.1:${gone.port}': Connection refused\n`,
    );
    expect(await refusal(`info ${at('some.raw')}`, { QIMG_SSH: join(directory, 'nothing') })).toBe(
      `qemu-img: Could not open '${at('some.raw')}': Could not start '${directory}/nothing': No such file or directory\n`,
    );
  });

  it('do not have the file', async () => {
    expect(await refusal(`info ${at('none')}`, shared)).toBe(
      `qemu-img: Could not open '${at('none')}': failed to open remote file '${directory}/none': ` +
        'SFTP server: No such file (sftp error code: 2)\n',
    );
    expect(await refusal(`convert -f raw -O raw some.raw ${at('none/x')}`, shared)).toContain(
      'SFTP server: No such file',
    );
  });

  it('cannot do everything', async () => {
    const path = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server', '/usr/lib/ssh/sftp-server'].find(
      existsSync,
    );
    const create = async (option: string): Promise<readonly [code: number, stderr: string]> => {
      const other = await Sshd.start(join(directory, 'limited'), `${path} ${option}`);
      const command = words(`create -q -f qcow2 ${at('limited.qcow2', other)} 1M`);
      const { code, stderr } = await run(ourProgram(), command, { cwd: directory, env: other.environment() });
      await other.stop();
      return [code, stderr];
    };
    expect(await create('-R')).toEqual([
      1,
      expect.stringMatching(/SFTP server: Permission denied \(sftp error code: 3\)\n$/),
    ]);
    expect(existsSync(join(directory, 'limited.qcow2'))).toBe(false);
    // Neither replaces files nor makes changes safe.
    expect(await create('-P posix-rename,fsync')).toEqual([
      0,
      expect.stringMatching(/^[^\n]*does not support fsync\nto support fsync, you need OpenSSH >= 6\.3$/),
    ]);
    expect(existsSync(join(directory, 'limited.qcow2'))).toBe(true);
  });

  it('say something else first', async () => {
    const noisy = await Sshd.start(join(directory, 'noisy'), `/bin/echo Welcome`);
    expect(await refusal(`info ${at('some.raw', noisy)}`, noisy.environment())).toBe(
      `qemu-img: Could not open '${at('some.raw', noisy)}': failed to initialize sftp handle: ` +
        "the server sent something else in front of SFTP: 'Welcome'\n",
    );
    await noisy.stop();
  });

  /** Starts a copy that takes its time, and does something when the server has got some of it. */
  async function interrupted(
    line: string,
    halfway: (printed: string) => boolean,
    event: (pid: number) => Promise<void>,
  ) {
    let [pid, printed] = [0, ''];
    const copy = run(ourProgram(), words(line), {
      cwd: directory,
      env: server.environment(),
      started: (child) => {
        pid = child.pid ?? 0;
        child.stdout?.on('data', (text: string) => (printed += text));
      },
    });
    const reached = async (): Promise<string> => {
      while (!halfway(printed)) await new Promise((resolve) => setTimeout(resolve, 5));
      return 'halfway';
    };
    expect(await Promise.race([reached(), copy])).toBe('halfway');
    await event(pid);
    return copy;
  }

  const parts = (folder: string): number[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.part'))
      .map((name) => statSync(join(folder, name)).blocks);

  it('die while they are written to leave nothing that looks finished', async () => {
    const folder = join(directory, 'writing');
    mkdirSync(folder);
    const line = `convert -r 4M -f raw -O raw from.raw ${at('writing/x.raw')}`;
    const { code, stderr } = await interrupted(
      line,
      () => parts(folder).some((blocks) => blocks > 0),
      () => server.kill(),
    );
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^qemu-img: error while writing at byte \d+: Input\/output error\n/),
    ]);
    expect(existsSync(join(folder, 'x.raw'))).toBe(false);
  });

  it('die while they are read from leave nothing', async () => {
    const folder = join(directory, 'reading');
    mkdirSync(folder);
    const line = `convert -p -r 4M -f raw -O raw ${at('from.raw')} reading/x.raw`;
    const { code, stderr } = await interrupted(
      line,
      (printed) => /\((?!0\.00)[\d.]+\/100%\)/.test(printed),
      () => server.kill(),
    );
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^qemu-img: error while reading at byte \d+: Input\/output error\n/),
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('are left clean by a copy that is stopped', async () => {
    const folder = join(directory, 'stopped');
    mkdirSync(folder);
    const line = `convert -r 4M -f raw -O raw from.raw ${at('stopped/x.raw')}`;
    const stop = async (pid: number): Promise<void> => void process.kill(pid, 'SIGINT');
    await server.kill();
    await interrupted(line, () => parts(folder).some((blocks) => blocks > 0), stop);
    expect(readdirSync(folder)).toEqual([]);
    // Nor is any ssh left behind, once it has noticed; nor by a command that did not wait for its end.
    const nobody = async (): Promise<void> => {
      while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await nobody();
    await ours(`info ${at('some.raw')}`, server.environment());
    await nobody();
  });
});
