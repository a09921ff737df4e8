/** Images on servers of FTP: vsftpd, plain and with TLS, and servers that do not behave. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authority } from '../support/authority.ts';
import { listening } from '../support/bridge.ts';
import { examplesOf } from '../support/examples.ts';
import { serveFtp, stopFtp } from '../support/ftpServer.ts';
import { lackOf } from '../support/needs.ts';
import { must, ours, ourProgram, run, words } from '../support/program.ts';
import { because } from '../support/skip.ts';

const KiB = 1024;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-ftp-'));
});
afterAll(async () => {
  await stopFtp();
  rmSync(directory, { recursive: true, force: true });
});

/** What the program says, which has to fail. */
async function refusal(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout, stderr, code } = await run(ourProgram(), words(line), { cwd: directory, env });
  expect({ line, stdout, code }).toEqual({ line, stdout: '', code: 1 });
  return stderr;
}

const lack = lackOf(['vsftpd'], 'vsftpd') ?? lackOf(['certtool'], 'gnutls-bin');
describe.skipIf(lack !== undefined)(`vsftpd${because(lack)}`, () => {
  const source = new Uint8Array(3000 * KiB).map((_, at) => (at < 2500 * KiB ? (at * 7 + (at >> 9)) & 0xff : 0));
  let plain: string;

  beforeAll(async () => {
    const files = join(directory, 'files');
    mkdirSync(files);
    writeFileSync(join(files, 'disk.raw'), source);
    await ours('convert -f raw -O qcow2 files/disk.raw files/disk.qcow2', directory);
    await ours('convert -c -f raw -O qcow2 files/disk.raw files/packed.qcow2', directory);
    plain = `127.0.0.1:${await serveFtp(files, directory)}`;
  });

  it('has images that are copied, compared and described', async () => {
    for (const name of ['disk.raw', 'disk.qcow2', 'packed.qcow2']) {
      await ours(`convert -O raw ftp://${plain}/${name} out.raw`, directory);
      expect(readFileSync(join(directory, 'out.raw')).equals(source)).toBe(true);
    }
    await ours(`compare ftp://ftp:me@${plain}/packed.qcow2 files/disk.raw`, directory);
    await ours(`check ftp://${plain}/disk.qcow2`, directory);
    expect(await ours(`info ftp://${plain}/disk.raw`, directory)).toContain(
      `Child node '/file':\n    filename: ftp://${plain}/disk.raw\n    protocol type: ftp\n`,
    );
  });

  it('refuses', async () => {
    const why = 'CURL: Error opening file:';
    expect(await refusal(`info ftp://me:wrong@${plain}/disk.raw`)).toBe(
      `qemu-img: Could not open 'ftp://me:wrong@${plain}/disk.raw': ${why} Access denied: 530\n`,
    );
    expect(await refusal(`info ftp://${plain}/none`)).toBe(
      `qemu-img: Could not open 'ftp://${plain}/none': ${why} The file does not exist\n`,
    );
    expect(await refusal(`info ftp://${plain}/`)).toContain(`${why} Server didn't report file size.\n`);
    expect(await refusal(`info ftps://${plain}/disk.raw`)).toContain(`${why} TLS handshake failed: `);
    expect(await refusal(`resize -f raw ftp://${plain}/disk.raw 8M`)).toContain(
      'curl driver does not support writes\n',
    );
    expect(await refusal(`create -f raw ftp://${plain}/new.raw 8M`)).toContain(
      "Protocol driver 'ftp' does not support image creation\n",
    );
  });

  it('has what the examples of docs/addresses.md are about', async () => {
    const lines = examplesOf('FTP and FTPS');
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) {
      const own = line.replace(/^qimg/, ourProgram()).replaceAll('localhost:2121', plain);
      const { code, stderr } = await run('sh', ['-c', own], { cwd: directory });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
  });

  it('speaks TLS', async () => {
    authority(join(directory, 'good'), 'good');
    const port = await serveFtp(join(directory, 'files'), directory, join(directory, 'good'));
    const env = { SSL_CERT_FILE: join(directory, 'good/ca-cert.pem') };
    const url = `ftps://localhost:${port}/disk.qcow2`;
    await must(ourProgram(), words(`convert -O raw ${url} tls.raw`), { cwd: directory, env });
    expect(readFileSync(join(directory, 'tls.raw')).equals(source)).toBe(true);
    await ours(`info --image-opts driver=qcow2,file.driver=ftps,file.url=${url},file.sslverify=off`, directory);
    expect(await refusal(`info ${url}`)).toContain('certificate signer not trusted.');
  });
});

describe('a server that does not behave', () => {
  /** Answers commands by a script; what is not in it is not answered. */
  async function info(answers: Readonly<Record<string, string>>): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.write(answers['']?.concat('\r\n') ?? '');
      socket.setEncoding('latin1').on('data', (text: string) => {
        for (const line of text.split('\r\n').filter((one) => one !== '')) {
          const answer = answers[line.split(' ')[0] ?? ''];
          if (answer === 'END') socket.end();
          else if (answer !== undefined) socket.write(`${answer}\r\n`);
        }
      });
    });
    const port = await listening(server);
    const said = await refusal(`info --image-opts driver=ftp,url=ftp://127.0.0.1:${port}/x,timeout=1`);
    for (const socket of sockets) socket.destroy();
    server.close();
    return said.replace(/^.*Error opening file: /, '');
  }

  const welcome = { '': '220 hello', OPTS: '500 no' };
  const login = { ...welcome, USER: '230 you are in', TYPE: '200 as you like' };

  it.each<readonly [string, Readonly<Record<string, string>>, string]>([
    ['is silent', {}, 'Operation timed out after 1000 milliseconds with 0 bytes received\n'],
    ['has no room', { '': '421 too many' }, 'The server answered: 421 too many\n'],
    ['forgets to answer', welcome, 'Operation timed out after 1000 milliseconds with 0 bytes received\n'],
    ['hangs up', { ...login, TYPE: 'END' }, 'Recv failure: Connection reset by peer\n'],
    ['knows no sizes', { ...login, SIZE: '502 no' }, "Server didn't report file size.\n"],
    ['says a size that is none', { ...login, SIZE: '213 many' }, "Server didn't report file size.\n"],
    ['wants an account', { ...welcome, USER: '332 which' }, 'Access denied: 332\n'],
  ])('%s', async (_, answers, said) => {
    expect(await info(answers)).toBe(said);
  });

  it('nobody there', async () => {
    expect(await refusal('info ftp://127.0.0.1:1/x')).toMatch(
      /Failed to connect to 127\.0\.0\.1:1 after \d+ ms: Could not connect to server\n$/,
    );
  });
});
