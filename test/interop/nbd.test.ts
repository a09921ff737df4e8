/** The NBD client against the servers that people use: qemu-nbd, and nbdkit with all that can go wrong. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../src/base/error.ts';
import { openImage } from '../../src/node.ts';
import { authority } from '../support/authority.ts';
import { examplesOf } from '../support/examples.ts';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { must, ours, ourProgram, real, run, saidByBoth, words } from '../support/program.ts';
import { serve, stopServers } from '../support/servers.ts';
import { because } from '../support/skip.ts';
import { onlyNode } from '../support/standalone.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-nbd-'));
});
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true, force: true });
});

const KiB = 1024;

/** Starts qemu-nbd on a socket of the directory. */
async function qemuNbd(socket: string, ...args: readonly string[]): Promise<void> {
  // A test of whether it is there counts as a client.
  await serve(oracleProgram('qemu-nbd'), ['-t', '-e', '8', '-k', `${directory}/${socket}`, ...args], socket, directory);
}

const sameOf = (line: string): Promise<string> => saidByBoth(line, directory);

describeWithOracle('qemu-nbd', () => {
  const source = new Uint8Array(700 * KiB).map((_, index) => (index < 300 * KiB ? (index * 7) & 0xff : 0));

  beforeAll(() => {
    writeFileSync(join(directory, 'from.raw'), source);
    truncateSync(join(directory, 'from.raw'), 64 << 20);
    writeFileSync(join(directory, 'to.raw'), new Uint8Array(1 << 20).fill(9));
    truncateSync(join(directory, 'to.raw'), 64 << 20);
  });

  it('serves images that are copied from, and onto, with their holes', async () => {
    await qemuNbd('from.sock', '-r', '-f', 'raw', 'from.raw');
    await qemuNbd('to.sock', '--discard=unmap', '-f', 'raw', 'to.raw');
    await ours('convert -O qcow2 nbd:unix:from.sock a.qcow2', directory);
    await real('check -q a.qcow2', directory);
    expect(await real('compare -f raw -F qcow2 from.raw a.qcow2', directory)).toBe('Images are identical.\n');
    await ours('convert -n -O raw a.qcow2 nbd+unix:///?socket=to.sock', directory);
    expect(await ours('compare from.raw nbd:unix:to.sock', directory)).toBe('Images are identical.\n');
    const [blocks] = execFileSync('stat', ['-c', '%b', join(directory, 'to.raw')], { encoding: 'utf8' }).split('\n');
    expect(Number(blocks) * 512).toBeLessThan(2 << 20);
    await sameOf('map --output=json nbd:unix:from.sock');
    await sameOf('info --limits nbd:unix:from.sock');
    await sameOf('measure -O qcow2 nbd:unix:from.sock');
  });

  it('serves backing images', async () => {
    await ours('create -q -f qcow2 -b nbd+unix:///?socket=from.sock -F raw top.qcow2', directory);
    await real('bench -q -w -c 4 -s 65536 -f qcow2 top.qcow2', directory).catch(() => undefined);
    expect(await ours('compare top.qcow2 top.qcow2', directory)).toBe('Images are identical.\n');
    await sameOf('info --backing-chain top.qcow2');
  });

  it('serves images that formats are written into', async () => {
    await ours('create -q -f qcow2 nbd:unix:to.sock 16M', directory);
    await ours('snapshot -c one nbd:unix:to.sock', directory);
    await ours('bitmap --add nbd:unix:to.sock b', directory);
    await ours('bench -w -c 100 -d 16 nbd:unix:to.sock', directory);
    await ours('check -q nbd:unix:to.sock', directory);
    await stopServers();
    await real('check -q -f qcow2 to.raw', directory);
  });

  it('tells which blocks are dirty', async () => {
    await real('create -q -f qcow2 d.qcow2 1M', directory);
    await real('bitmap --add -g 64k d.qcow2 b0', directory);
    await must(oracleProgram('qemu-io'), ['-c', 'write 128k 64k', 'd.qcow2'], { cwd: directory });
    await qemuNbd('d.sock', '-r', '-A', '-B', 'b0', '-f', 'qcow2', 'd.qcow2');
    for (const context of ['qemu:dirty-bitmap:b0', 'qemu:allocation-depth', 'base:allocation', 'qemu:dirty-bitmap:x']) {
      await sameOf(`map --output=json --image-opts driver=nbd,path=d.sock,x-dirty-bitmap=${context}`);
    }
  });

  it('is what the examples of docs/addresses.md are about', async () => {
    const lines = examplesOf('NBD');
    expect(lines.length).toBeGreaterThan(5);
    writeFileSync(join(directory, 'example.raw'), source);
    truncateSync(join(directory, 'example.raw'), 16 << 20);
    await qemuNbd('s.sock', '-f', 'raw', 'example.raw');
    for (const line of lines) {
      const { code, stderr } = await run('sh', ['-c', line.replace(/^qimg/, ourProgram())], { cwd: directory });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
  });

  describe('with TLS', () => {
    const noCerttool = lackOf(['certtool'], 'gnutls-bin');

    const info = (object: string, more: string): string =>
      `info --object ${object},id=t,endpoint=client --image-opts driver=nbd,tls-creds=t,${more}`;

    it.skipIf(noCerttool !== undefined)(`and certificates${because(noCerttool)}`, async () => {
      authority(join(directory, 'good'), 'good');
      authority(join(directory, 'other'), 'other');
      const server = 'tls-creds-x509,id=s,dir=good,endpoint=server,verify-peer=on';
      await qemuNbd('x.sock', '--object', server, '--tls-creds', 's', '-f', 'raw', 'from.raw');
      await sameOf(info('tls-creds-x509,dir=good', 'path=x.sock,tls-hostname=localhost'));
      const lines = [
        info('tls-creds-x509,dir=good', 'path=x.sock'),
        info('tls-creds-x509,dir=good', 'path=x.sock,tls-hostname=elsewhere'),
        info('tls-creds-x509,dir=other', 'path=x.sock,tls-hostname=localhost'),
        'info nbd:unix:x.sock',
      ];
      expect(await Promise.all(lines.map(sameOf))).toEqual([
        expect.stringContaining('No hostname for certificate validation'),
        expect.stringContaining('Certificate does not match the hostname elsewhere'),
        expect.stringContaining("The certificate hasn't got a known issuer"),
        expect.stringContaining('Did you forget a valid tls-creds?'),
      ]);
      const copy = 'convert --object tls-creds-x509,id=t,dir=good --image-opts -O raw';
      await ours(`${copy} driver=nbd,path=x.sock,tls-creds=t,tls-hostname=localhost tls.raw`, directory);
      expect(await real('compare -f raw -F raw from.raw tls.raw', directory)).toBe('Images are identical.\n');
    });

    const noKeys = onlyNode('Bun has no ciphers with keys that both sides have');
    it.skipIf(noKeys !== undefined)(`and a key that both sides have${because(noKeys)}`, async () => {
      mkdirSync(join(directory, 'keys'));
      mkdirSync(join(directory, 'wrong'));
      writeFileSync(join(directory, 'keys/keys.psk'), 'qemu:9c2a0c2b1f4b4f6d8a7e5c3b2a190807\n');
      writeFileSync(join(directory, 'wrong/keys.psk'), 'qemu:0000000000000000000000000000beef\n');
      const server = 'tls-creds-psk,id=s,dir=keys,endpoint=server';
      await qemuNbd('p.sock', '--object', server, '--tls-creds', 's', '-f', 'raw', 'from.raw');
      await sameOf(info('tls-creds-psk,dir=keys', 'path=p.sock'));
      const wrong = await run(ourProgram(), words(info('tls-creds-psk,dir=wrong', 'path=p.sock')), { cwd: directory });
      expect([wrong.code, wrong.stdout, wrong.stderr]).toEqual([
        1,
        '',
        expect.stringContaining('TLS handshake failed: '),
      ]);
    });
  });
});

const noNbdkit = lackOf(['nbdkit'], 'nbdkit');
describe.skipIf(noNbdkit !== undefined)(`nbdkit${because(noNbdkit)}`, () => {
  const kit = (socket: string, ...args: readonly string[]): Promise<void> =>
    serve('nbdkit', ['-f', '-U', `${directory}/${socket}`, ...args], socket, directory);

  it('that fails is said to fail, and nothing looks finished', async () => {
    // A copy of 256 MiB asks more than a hundred times: the chance that none fails is nil.
    await kit('e.sock', '--filter=error', 'pattern', '256M', 'error-pread=EIO', 'error-pread-rate=50%');
    const { code, stderr } = await run(ourProgram(), words('convert -f raw -O qcow2 nbd:unix:e.sock e.qcow2'), {
      cwd: directory,
    });
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^qemu-img: error while reading at byte \d+: Input\/output error\n/),
    ]);
    expect(() => readFileSync(join(directory, 'e.qcow2'))).toThrow('ENOENT');
  });

  it('that is slow is waited for', async () => {
    await kit('slow.sock', '--filter=delay', 'pattern', '1M', 'rdelay=50ms');
    await ours('convert -f raw -O raw nbd:unix:slow.sock slow.raw', directory);
    expect(readFileSync(join(directory, 'slow.raw')).readBigUInt64BE(4096)).toBe(4096n);
  });

  it('with blocks of a size gets whole blocks only', async () => {
    const policy = ['blocksize-minimum=4096', 'blocksize-maximum=65536', 'blocksize-error-policy=error'];
    await kit('b.sock', '--filter=blocksize-policy', 'memory', '16M', ...policy);
    await ours('create -q -f qcow2 nbd:unix:b.sock 12M', directory);
    await ours('bench -w -c 200 -s 1536 -d 8 nbd:unix:b.sock', directory);
    await ours('check -q nbd:unix:b.sock', directory);
  });

  it('that goes away during a copy ends it', async () => {
    await kit('gone.sock', '--filter=delay', 'pattern', '1G', 'rdelay=100ms');
    const copy = run(ourProgram(), words('convert -f raw -O raw nbd:unix:gone.sock gone.raw'), { cwd: directory });
    await new Promise((resolve) => setTimeout(resolve, 400));
    await stopServers();
    const { code, stderr } = await copy;
    // It may not have come further than the connection.
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^qemu-img: .*(Input\/output error|Failed to)/)]);
    expect(() => readFileSync(join(directory, 'gone.raw'))).toThrow('ENOENT');
  });
});

it('nobody there', async () => {
  const failed = openImage({ options: { driver: 'nbd', path: join(directory, 'nobody') } });
  await expect(failed).rejects.toThrow(BlockError);
  await expect(failed).rejects.toThrow(/Failed to connect to '.*nobody': No such file or directory$/);
});
