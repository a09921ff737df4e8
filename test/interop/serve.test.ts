/** `qimg serve` and the clients that people use: the real tools, libnbd, and our own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { must, ours, ourProgram, real, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';
import { onlyNode } from '../support/standalone.ts';

let directory: string;
const running = new Set<ChildProcess>();

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-serve-'));
  writeFileSync(
    join(directory, 'from.raw'),
    new Uint8Array(700 * 1024).map((_, index) => (index < 300 * 1024 ? (index * 7) & 0xff : 0)),
  );
  truncateSync(join(directory, 'from.raw'), 16 << 20);
});
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A server at work. */
interface Served {
  readonly uri: string;
  readonly child: ChildProcess;
  /** Its exit code and what it said besides the URI, when it has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** Starts `qimg serve`, and waits until it says where. */
async function start(line: string, env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const child = spawn(ourProgram(), ['serve', '--print-uri', ...words(line)], {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let [stdout, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, stderr });
    });
  });
  const uri = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.endsWith('\n')) resolve(stdout.split('\n')[0] ?? '');
    });
    void ended.then(() => reject(new Error(stderr)));
  });
  return { uri, child, ended };
}

async function stop({ child, ended }: Served, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  child.kill(signal);
  expect(await ended).toEqual({ code: 0, stderr: '' });
}

const noLibnbd = lackOf(['nbdcopy', 'nbdinfo'], 'libnbd-bin');
const noNbdsh = lackOf(['nbdsh'], 'python3-libnbd');

describeWithOracle('the real programs', () => {
  it('read and write what is served', async () => {
    await real('create -q -f qcow2 to.qcow2 16M', directory);
    const [from, to] = [await start('-k from.sock -f raw from.raw'), await start('-w -k to.sock -t to.qcow2')];
    await real(`convert -n -f raw -O raw ${from.uri} ${to.uri}`, directory);
    expect(await from.ended).toEqual({ code: 0, stderr: '' });
    await must(
      oracleProgram('qemu-io'),
      [
        ...words('-f raw'),
        ...[
          'write -P 3 1M 70001',
          'write -f -P 4 3M 31',
          'write -z -u 5M 1M',
          'discard 6M 1M',
          'flush',
          'read -P 3 1M 70001',
        ].flatMap((text) => ['-c', text]),
        to.uri,
      ],
      { cwd: directory },
    );
    await stop(to);
    await real('check -q to.qcow2', directory);
    expect(await ours('compare to.qcow2 to.qcow2', directory)).toContain('identical');
    for (const read of ['read -P 3 1M 70001', 'read -P 4 3M 31', 'read -P 0 5M 2M']) {
      expect(await must(oracleProgram('qemu-io'), ['-r', '-c', read, 'to.qcow2'], { cwd: directory })).not.toContain(
        'fail',
      );
    }
  });

  it('see the same as at their own server', async () => {
    await real('create -q -f qcow2 -b from.raw -F raw top.qcow2', directory);
    await real('bitmap --add -g 64k top.qcow2 b', directory);
    await must(oracleProgram('qemu-io'), ['-c', 'write 1M 1M', '-c', 'write -z 4M 1M', 'top.qcow2'], {
      cwd: directory,
    });
    const mine = await start('-t -A -B b -k mine.sock top.qcow2');
    const theirs = spawn(
      oracleProgram('qemu-nbd'),
      words(`-t -e 8 -r -A -B b -f qcow2 -k ${directory}/theirs.sock top.qcow2`),
      { cwd: directory },
    );
    running.add(theirs);
    await expect.poll(() => existsSync(join(directory, 'theirs.sock'))).toBe(true);
    for (const context of ['qemu:dirty-bitmap:b', 'qemu:allocation-depth', 'base:allocation']) {
      const seen = (socket: string): Promise<string> =>
        real(`map --output=json --image-opts driver=nbd,path=${socket},x-dirty-bitmap=${context}`, directory);
      expect(await seen('mine.sock')).toBe(await seen('theirs.sock'));
    }
    const limits = await real('info --limits --output=json nbd+unix:///?socket=mine.sock', directory);
    expect(limits.replaceAll('mine', 'theirs')).toBe(
      await real('info --limits --output=json nbd+unix:///?socket=theirs.sock', directory),
    );
    theirs.kill();
    await stop(mine, 'SIGINT');
  });

  it('read snapshots, and write what is gone afterwards', async () => {
    await real('create -q -f qcow2 snap.qcow2 4M', directory);
    const io = (...commands: readonly string[]): Promise<string> =>
      must(oracleProgram('qemu-io'), commands.flatMap((text) => ['-c', text]).concat('snap.qcow2'), { cwd: directory });
    await io('write -P 1 0 1M');
    await real('snapshot -c one snap.qcow2', directory);
    await io('write -P 2 0 1M');
    const old = await start('-l one -k snap.sock snap.qcow2');
    const read = await must(oracleProgram('qemu-io'), ['-r', '-f', 'raw', '-c', 'read -P 1 0 1M', old.uri], {
      cwd: directory,
    });
    expect(read).not.toContain('fail');
    await old.ended;
    const before = readFileSync(join(directory, 'snap.qcow2'));
    const temporary = await start('-s -k snap.sock snap.qcow2');
    const said = await must(
      oracleProgram('qemu-io'),
      [
        '-f',
        'raw',
        '-c',
        'write -P 7 100k 50k',
        '-c',
        'read -P 7 100k 50k',
        '-c',
        'read -P 2 0 100k',
        '-c',
        'flush',
        temporary.uri,
      ],
      { cwd: directory },
    );
    expect(said).not.toContain('fail');
    expect((await temporary.ended).code).toBe(0);
    expect(Buffer.compare(readFileSync(join(directory, 'snap.qcow2')), before)).toBe(0);
  });
});

describe('clients of libnbd', () => {
  it.skipIf(noLibnbd !== undefined)(`copy from and to it${because(noLibnbd)}`, async () => {
    await ours('create -q -f qcow2 copy.qcow2 16M', directory);
    const [from, to] = [await start('-k l1.sock -f raw from.raw'), await start('-w -k l2.sock copy.qcow2')];
    await must('nbdcopy', ['--flush', from.uri, to.uri], { cwd: directory });
    expect([(await from.ended).code, (await to.ended).code]).toEqual([0, 0]);
    expect(await ours('compare -f raw from.raw copy.qcow2', directory)).toContain('identical');
    await ours('check -q copy.qcow2', directory);
  });

  it.skipIf(noLibnbd !== undefined)(`describe it${because(noLibnbd)}`, async () => {
    const server = await start(
      '-t --port 0 -x one -x two -D first -D second -f raw from.raw copy.raw'.replace('copy.raw', 'from.raw'),
    );
    expect(server.uri).toMatch(/^nbd:\/\/127\.0\.0\.1:\d+\/one$/);
    const list = JSON.parse(await must('nbdinfo', ['--json', '--list', server.uri])) as {
      exports: Record<string, unknown>[];
    };
    expect(list.exports.map((one) => [one['export-name'], one['description'], one['export-size']])).toEqual([
      ['one', 'first', 16 << 20],
      ['two', 'second', 16 << 20],
    ]);
    await stop(server, 'SIGHUP');
  });

  it.skipIf(noNbdsh !== undefined)(`are told what is wrong${because(noNbdsh)}`, async () => {
    const server = await start('-t -k sh.sock -f raw from.raw');
    const script = [
      'import errno',
      `h.connect_uri("nbd+unix:///?socket=${directory}/sh.sock")`,
      'h.set_strict_mode(0)',
      'for call in (lambda: h.pwrite(b"x", 0), lambda: h.pread(1, h.get_size()), lambda: h.trim(1, 0)):',
      '    try:',
      '        call()',
      '        print("nothing")',
      '    except nbd.Error as error:',
      '        print(errno.errorcode[error.errnum])',
      'print(h.pread(3, 1), h.is_read_only(), h.can_multi_conn())',
    ];
    // With the interpreter that the package is for.
    const said = await must('nbdsh', ['-c', script.join('\n')], { env: { PATH: '/usr/bin:/bin' } });
    expect(said).toBe("EPERM\nEINVAL\nEPERM\nbytearray(b'\\x07\\x0e\\x15') True True\n");
    await stop(server);
  });
});

describe('TLS', () => {
  const noCerttool = lackOf(['certtool'], 'gnutls-bin');

  /** Certificates of an authority of their own for a server and a client. */
  function authority(name: string): void {
    const folder = join(directory, name);
    mkdirSync(folder);
    const certtool = (line: string): void => {
      execFileSync('certtool', words(line), { cwd: folder, stdio: 'ignore' });
    };
    const template = (file: string, ...lines: readonly string[]): void =>
      writeFileSync(join(folder, file), [...lines, 'expiration_days = 30', ''].join('\n'));
    certtool('--generate-privkey --ecc --outfile ca-key.pem');
    template('ca.txt', 'cn = "authority"', 'ca', 'cert_signing_key');
    certtool('--generate-self-signed --load-privkey ca-key.pem --template ca.txt --outfile ca-cert.pem');
    for (const side of ['server', 'client']) {
      template(`${side}.txt`, 'cn = "localhost"', 'dns_name = "localhost"', `tls_www_${side}`, 'signing_key');
      certtool(`--generate-privkey --ecc --outfile ${side}-key.pem`);
      certtool(
        '--generate-certificate --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem ' +
          `--load-privkey ${side}-key.pem --template ${side}.txt --outfile ${side}-cert.pem`,
      );
    }
  }

  const compare = (object: string, socket: string): string =>
    `compare --object ${object},id=t,endpoint=client --image-opts driver=raw,file.driver=file,file.filename=from.raw ` +
    `driver=raw,file.driver=nbd,file.tls-creds=t,file.tls-hostname=localhost,file.path=${socket}`;

  it.skipIf(noCerttool !== undefined)(`lets in whom it trusts${because(noCerttool)}`, async () => {
    authority('good');
    authority('other');
    const server = await start(
      '-t --object tls-creds-x509,id=s,dir=good,endpoint=server --tls-creds s -k x.sock -f raw from.raw',
    );
    expect(server.uri).toBe('nbds+unix:///?socket=x.sock');
    expect(await ours(compare('tls-creds-x509,dir=good', 'x.sock'), directory)).toContain('identical');
    for (const line of [
      compare('tls-creds-x509,dir=other', 'x.sock'),
      'compare -f raw from.raw nbd+unix:///?socket=x.sock',
    ]) {
      expect((await run(ourProgram(), words(line), { cwd: directory })).code).toBe(2);
    }
    expect(await ours(compare('tls-creds-x509,dir=good', 'x.sock'), directory)).toContain('identical');
    await stop(server);
  });

  const noKeys = onlyNode('TLS with shared keys');
  it.skipIf(noKeys !== undefined)(`takes shared keys${because(noKeys)}`, async () => {
    for (const [folder, key] of [
      ['right', '0123456789abcdef'],
      ['wrong', 'fedcba9876543210'],
    ] as const) {
      mkdirSync(join(directory, folder));
      writeFileSync(join(directory, folder, 'keys.psk'), `qemu:${key}\n`);
    }
    const server = await start(
      '-t --object tls-creds-psk,id=s,dir=right,endpoint=server --tls-creds s -k p.sock -f raw from.raw',
    );
    expect(await ours(compare('tls-creds-psk,dir=right', 'p.sock'), directory)).toContain('identical');
    expect(
      (await run(ourProgram(), words(compare('tls-creds-psk,dir=wrong', 'p.sock')), { cwd: directory })).code,
    ).toBe(2);
    await stop(server);
  });

  describeWithOracle('with the real program', () => {
    it.skipIf(noCerttool !== undefined)(`works alike${because(noCerttool)}`, async () => {
      for (const [object, socket, folder] of [
        ['tls-creds-x509', 'r1.sock', 'good'],
        ...(noKeys === undefined ? [['tls-creds-psk', 'r2.sock', 'right'] as const] : []),
      ] as const) {
        const server = await start(
          `-t --object ${object},id=s,dir=${folder},endpoint=server --tls-creds s -k ${socket} -f raw from.raw`,
        );
        expect(await real(compare(`${object},dir=${folder}`, socket), directory)).toContain('identical');
        await stop(server);
      }
    });
  });
});

describe('a server', () => {
  it('has a socket for its owner, which is gone with it; a pid file too', async () => {
    const server = await start('-t -k own.sock --pid-file own.pid -f raw from.raw');
    expect(statSync(join(directory, 'own.sock')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(directory, 'own.pid'), 'utf8')).toBe(`${server.child.pid}\n`);
    const other = await run(ourProgram(), words('serve -k own.sock -f raw from.raw'), { cwd: directory });
    expect(other).toMatchObject({
      code: 1,
      stderr: 'qemu-img: Failed to bind socket to own.sock: Address already in use\n',
    });
    await stop(server);
    expect([existsSync(join(directory, 'own.sock')), existsSync(join(directory, 'own.pid'))]).toEqual([false, false]);
  });

  it('takes the place of one that was killed, and of nothing else', async () => {
    const server = await start('-t -w -k dead.sock -f raw from.raw');
    server.child.kill('SIGKILL');
    await server.ended;
    expect(existsSync(join(directory, 'dead.sock'))).toBe(true);
    await stop(await start('-t -k dead.sock -f raw from.raw'));
    writeFileSync(join(directory, 'plain.sock'), 'words');
    const refused = await run(ourProgram(), words('serve -k plain.sock -f raw from.raw'), { cwd: directory });
    expect(refused.stderr).toContain('Address already in use');
    expect(readFileSync(join(directory, 'plain.sock'), 'utf8')).toBe('words');
  });

  it('holds the locks of what it serves for writing', async () => {
    await ours('create -q -f qcow2 lock.qcow2 1M', directory);
    const server = await start('-t -w -k lock.sock lock.qcow2');
    const second = await run(ourProgram(), words('serve -w -k lock2.sock lock.qcow2'), { cwd: directory });
    expect(second.stderr).toContain('Failed to get "write" lock');
    await stop(server);
  });

  it('is a source and a target of this program', async () => {
    await ours('create -q -f qcow2 mine.qcow2 16M', directory);
    const [from, to] = [await start('-k m1.sock -f raw from.raw'), await start('-w -t -k m2.sock mine.qcow2')];
    await ours(`convert -n -f raw -O raw ${from.uri} ${to.uri}`, directory);
    expect(await ours(`compare -f raw from.raw ${to.uri}`, directory)).toContain('identical');
    await stop(to);
    await ours('check -q mine.qcow2', directory);
  });

  const noHanding = onlyNode('sockets that are handed over');
  it.skipIf(noHanding !== undefined)(`serves at a socket that it is given${because(noHanding)}`, async () => {
    const listening = createServer().listen(join(directory, 'given.sock'));
    await new Promise((resolve) => listening.once('listening', resolve));
    const { fd } = (Reflect.get(listening, '_handle') ?? {}) as { fd?: number };
    const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve -f raw from.raw';
    const child = spawn('sh', ['-c', script, ourProgram()], {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe', fd],
    });
    running.add(child);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = new Promise((resolve) => child.once('close', resolve));
    // Only the other one is to take connections; the name would be gone with the one who gave it.
    renameSync(join(directory, 'given.sock'), join(directory, 'handed.sock'));
    listening.close();
    expect(await ours('compare -f raw from.raw nbd+unix:///?socket=handed.sock', directory)).toContain('identical');
    expect([await ended, stderr]).toEqual([0, '']);
  });

  it('does what docs/serve.md says', async () => {
    const page = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../../docs/serve.md'), 'utf8');
    const [, block = ''] = /^```sh\n(.*?)^```$/ms.exec(page) ?? [];
    const lines = block.split('\n').map((line) => line.replace(/ *#.*/, ''));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines.filter((text) => text !== '')) {
      const [, command = '', rest = ''] = /^qimg (\w+) (.*)$/.exec(line) ?? [];
      if (command === 'serve') await stop(await start(rest));
      else await ours(`${command} -q ${rest}`, directory);
    }
  });

  it('is no command of qemu-img', async () => {
    mkdirSync(join(directory, 'bin'));
    const program = join(directory, 'bin/qemu-img');
    execFileSync('ln', ['-s', ourProgram(), program]);
    expect(await run(program, ['serve', 'from.raw'], { cwd: directory })).toEqual({
      code: 1,
      stdout: '',
      stderr: "qemu-img: Command not found: serve\nTry 'qemu-img --help' for more information\n",
    });
    expect(await must(program, ['--help'])).not.toContain('serve');
  });
});
