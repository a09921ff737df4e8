/** Images on servers of HTTP: nginx as people have it, servers that do not behave, proxies. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authority } from '../support/authority.ts';
import { bridgeTo, closeBridges, listening } from '../support/bridge.ts';
import { examplesOf } from '../support/examples.ts';
import { lackOf } from '../support/needs.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { must, ours, ourProgram, real, run, words } from '../support/program.ts';
import { serve, stopServers } from '../support/servers.ts';
import { because } from '../support/skip.ts';

const KiB = 1024;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-http-'));
});
afterAll(async () => {
  closeBridges();
  await stopServers();
  rmSync(directory, { recursive: true, force: true });
});

/** What the program says, which has to fail. */
async function refusal(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout, stderr, code } = await run(ourProgram(), words(line), { cwd: directory, env });
  expect({ line, stdout, code }).toEqual({ line, stdout: '', code: 1 });
  return stderr;
}

const CONFIGURATION = `
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {}
http {
  access_log off; client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp;
  scgi_temp_path temp; root files;
  server {
    listen unix:plain.sock; absolute_redirect off;
    location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
    location /whole/ { alias files/; max_ranges 0; }
    location /private/ { alias files/; auth_basic qimg; auth_basic_user_file passwords; }
    location /get/ { alias files/; limit_except GET { deny all; } }
    location /gone/ { return 410; }
  }
  server {
    listen unix:tls.sock ssl; ssl_certificate good/server-cert.pem; ssl_certificate_key good/server-key.pem;
  }
}
`;

const lack = lackOf(['nginx'], 'nginx-light') ?? lackOf(['certtool'], 'gnutls-bin');
describe.skipIf(lack !== undefined)(`nginx${because(lack)}`, () => {
  let plain: string;
  let tls: string;
  const trusting = (): Record<string, string> => ({ SSL_CERT_FILE: join(directory, 'good/ca-cert.pem') });

  beforeAll(async () => {
    mkdirSync(join(directory, 'files'));
    authority(join(directory, 'good'), 'good');
    writeFileSync(join(directory, 'nginx.conf'), CONFIGURATION);
    writeFileSync(join(directory, 'passwords'), 'me:{PLAIN}p w\n');
    const source = new Uint8Array(3000 * KiB + 100).map((_, at) => (at < 900 * KiB ? (at * 7) & 0xff : 0));
    writeFileSync(join(directory, 'files/disk.raw'), source);
    await serve('nginx', ['-p', `${directory}/`, '-c', 'nginx.conf', '-e', 'error.log'], 'plain.sock', directory);
    plain = `http://127.0.0.1:${await bridgeTo(join(directory, 'plain.sock'))}`;
    tls = `https://localhost:${await bridgeTo(join(directory, 'tls.sock'))}`;
  });

  describeWithOracle('and images', () => {
    beforeAll(async () => {
      await real('convert -f raw -O qcow2 files/disk.raw files/disk.qcow2', directory);
      await real('convert -c -f raw -O qcow2 files/disk.raw files/packed.qcow2', directory);
      await real('convert -f raw -O vmdk files/disk.raw files/disk.vmdk', directory);
      await real('create -q -f qcow2 -b disk.qcow2 -F qcow2 files/top.qcow2', directory);
    });

    it('that are copied, compared and checked', async () => {
      const copied = async (name: string, index: number): Promise<void> => {
        const copy = `out${index}.raw`;
        await ours(`convert -O raw ${plain}/${name} ${copy}`, directory);
        expect(await real(`compare -f raw -F raw files/disk.raw ${copy}`, directory)).toBe('Images are identical.\n');
        await ours(`compare ${plain}/${name} files/disk.raw`, directory);
      };
      const names = ['disk.raw', 'disk.qcow2', 'packed.qcow2', 'disk.vmdk', 'top.qcow2', 'moved/disk.qcow2'];
      await Promise.all(names.map(copied));
      expect(await ours(`check ${plain}/packed.qcow2`, directory)).toBe(
        await real('check files/packed.qcow2', directory),
      );
      await ours(`dd if=${plain}/disk.raw of=dd.raw bs=64k`, directory);
      expect(await real('compare -f raw -F raw files/disk.raw dd.raw', directory)).toBe('Images are identical.\n');
    });

    it('that are described as the real tool describes them', async () => {
      const name = `${plain}/disk.raw`;
      expect(await ours(`info --limits ${name}`, directory)).toBe(
        [
          `image: ${name}`,
          'file format: raw',
          'virtual size: 2.93 MiB (3072512 bytes)',
          'disk size: unavailable',
          'Block limits:',
          '    request alignment: 512',
          '    min mem alignment: 512',
          '    opt mem alignment: 4096',
          '    max iov: 1024',
          "Child node '/file':",
          `    filename: ${name}`,
          '    protocol type: http',
          '    file length: 2.93 MiB (3072512 bytes)',
          '    disk size: unavailable',
          '    Block limits:',
          '        request alignment: 1',
          '        min mem alignment: 512',
          '        opt mem alignment: 4096',
          '        max iov: 1024',
          '',
        ].join('\n'),
      );
      expect(JSON.parse(await ours(`info --output=json ${name}`, directory))).toEqual({
        children: [{ name: 'file', info: { children: [], 'virtual-size': 3072512, filename: name, format: 'http' } }],
        'virtual-size': 3072512,
        filename: name,
        format: 'raw',
      });
      expect(await ours(`map --output=json ${name}`, directory)).toBe(
        '[{ "start": 0, "length": 3072512, "depth": 0, "present": true, "zero": false, "data": true, ' +
          '"compressed": false, "offset": 0}]\n',
      );
      for (const line of ['measure -O qcow2', 'map --output=json', 'snapshot -l']) {
        const [mine, theirs] = [`${line} ${plain}/disk.qcow2`, `${line} files/disk.qcow2`];
        expect(await ours(mine, directory)).toBe(await real(theirs, directory));
      }
      const options = `driver=http,url=${name},timeout=9,username=u,cookie=a=b`;
      expect(await ours(`info --image-opts ${options}`, directory)).toContain(
        `image: json:{"url": "${name}", "driver": "http", "username": "u", "cookie": "a=b"}\nfile format: http\n`,
      );
    });

    it('that other images have below them', async () => {
      await ours(`create -q -f qcow2 -b ${plain}/disk.qcow2 -F qcow2 above.qcow2`, directory);
      expect(await ours('info --backing-chain above.qcow2', directory)).toContain(`\nimage: ${plain}/disk.qcow2\n`);
      await ours('bench -q -w -c 4 -s 65536 above.qcow2', directory).catch(() => undefined);
      await ours('convert -O raw above.qcow2 above.raw', directory);
      expect(await ours(`info --backing-chain ${plain}/top.qcow2`, directory)).toContain(
        `backing file: disk.qcow2 (actual path: ${plain}/disk.qcow2)\n`,
      );
    });

    it('that the examples of docs/addresses.md are about', async () => {
      const lines = examplesOf('HTTP and HTTPS');
      expect(lines.length).toBeGreaterThan(4);
      for (const line of lines) {
        const own = line
          .replace(/^qimg/, ourProgram())
          .replaceAll('http://localhost:8080', plain)
          .replaceAll('https://localhost:8443', tls);
        const { code, stderr } = await run('sh', ['-c', own], { cwd: directory, env: trusting() });
        expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
      }
    });
  });

  it('that is read only', async () => {
    writeFileSync(join(directory, 'small.raw'), new Uint8Array(4096));
    const url = `${plain}/disk.raw`;
    const writes = `qemu-img: Could not open '${url}': curl driver does not support writes\n`;
    expect(await refusal(`resize -f raw ${url} 8M`)).toBe(writes);
    expect(await refusal(`convert -n -f raw -O raw small.raw ${url}`)).toBe(writes);
    expect(await refusal(`bench -w -f raw ${url}`)).toBe(writes);
    const creation = "Protocol driver 'http' does not support image creation\n";
    expect(await refusal(`convert -f raw -O raw small.raw ${url}`)).toBe(`qemu-img: ${creation}`);
    expect(await refusal(`create -f raw ${url} 1M`)).toBe(`qemu-img: ${url}: ${creation}`);
    expect(await refusal('create -f http -o help')).toBe(
      "qemu-img: Format driver 'http' does not support image creation\n",
    );
  });

  it('that refuses', async () => {
    const failed = (path: string, why: string): string =>
      `qemu-img: Could not open '${plain}${path}': CURL: Error opening file: ${why}\n`;
    expect(await refusal(`info ${plain}/whole/disk.raw`)).toBe(
      `${failed('/whole/disk.raw', "Server does not support 'range' (byte ranges).")}Download the file first, and use that\n`,
    );
    for (const [path, status] of [
      ['/private/disk.raw', 401],
      ['/none', 404],
      ['/gone/x', 410],
    ] as const) {
      expect(await refusal(`info ${plain}${path}`)).toBe(failed(path, `The requested URL returned error: ${status}`));
    }
    // HEAD is not even asked for.
    await ours(`info ${plain}/get/disk.raw`, directory);
  });

  it('that wants to know who one is', async () => {
    const login = plain.replace('//', '//me:p%20w@');
    await ours(`info ${login}/private/disk.raw`, directory);
    const secret = ['--object', 'secret,id=s,data=p w'];
    const image = `driver=http,url=${plain}/private/disk.raw,username=me,password-secret=s`;
    await must(ourProgram(), ['info', ...secret, '--image-opts', image], { cwd: directory });
    expect(await refusal(`info ${plain.replace('//', '//me:wrong@')}/private/disk.raw`)).toContain('error: 401\n');
  });

  it('with TLS', async () => {
    const url = `${tls}/disk.raw`;
    await must(ourProgram(), words(`convert -f raw -O raw ${url} tls.raw`), { cwd: directory, env: trusting() });
    const [got, wanted] = ['tls.raw', 'files/disk.raw'].map((name) => readFileSync(join(directory, name)));
    expect(wanted?.equals(got?.subarray(0, wanted.length) ?? new Uint8Array())).toBe(true);
    await ours(`info --image-opts driver=https,url=${url},sslverify=off`, directory);
    expect(await refusal(`info ${url}`)).toMatch(
      /CURL: Error opening file: SSL certificate verification failed: certificate signer not trusted\. \(CAfile: .* CRLfile: none\)\n$/,
    );
    const other = url.replace('localhost', '127.0.0.1');
    expect(await refusal(`info ${other}`, trusting())).toMatch(
      /certificate subject name does not match target hostname '127\.0\.0\.1'\n$/,
    );
    expect(await refusal(`info ${url}`, { SSL_CERT_FILE: '/nowhere' })).toContain(
      'error reading ca cert file /nowhere\n',
    );
  });

  it('behind a proxy', async () => {
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
      response.writeHead(403).end();
    });
    proxy.on('connect', (request, client) => {
      seen.push(`CONNECT ${request.url}`);
      const behind = connect({ path: join(directory, 'tls.sock') }, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(behind).pipe(client);
      });
      behind.on('error', () => client.destroy());
      client.on('error', () => behind.destroy());
    });
    const port = await listening(proxy);
    const env = { http_proxy: `http://u:w@127.0.0.1:${port}`, https_proxy: `127.0.0.1:${port}`, no_proxy: '127.0.0.1' };
    expect(await refusal('info http://elsewhere.invalid/x', env)).toContain('error: 403\n');
    // The name is the proxy's to know.
    await must(ourProgram(), words('info https://localhost/disk.raw'), {
      cwd: directory,
      env: { ...env, ...trusting() },
    });
    await must(ourProgram(), words(`info ${plain}/disk.raw`), { cwd: directory, env });
    expect(new Set(seen)).toEqual(
      new Set([`GET http://elsewhere.invalid/x Basic ${btoa('u:w')}`, 'CONNECT localhost:443']),
    );
    proxy.closeAllConnections();
    proxy.close();
  });
});

// Nearly all of the time is waiting.
describe.concurrent('a server that does not behave', () => {
  const file = new Uint8Array(5 << 20).map((_, at) => (at * 7) & 0xff);

  /** Sound, but for what `turn` does with the request of that number; it says true if it has answered. */
  async function serving(
    turn: (index: number, request: IncomingMessage, response: ServerResponse) => boolean,
    body: (first: number, last: number) => Uint8Array = (first, last) => file.subarray(first, last + 1),
  ): Promise<{ readonly url: string; readonly close: () => void }> {
    let count = 0;
    const server = createServer((request, response) => {
      if (turn(count++, request, response)) return;
      const [, first = '', asked = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const last = Math.min(Number(asked), file.length - 1);
      response.writeHead(206, {
        'content-range': `bytes ${first}-${last}/${file.length}`,
        'content-length': last - Number(first) + 1,
      });
      response.end(body(Number(first), last));
    });
    const port = await listening(server);
    return {
      url: `http://127.0.0.1:${port}/x`,
      close: () => {
        server.closeAllConnections();
        server.close();
      },
    };
  }

  let copies = 0;

  /** What a copy says that ends early, and leaves nothing behind. */
  async function copied(turn: Parameters<typeof serving>[0]): Promise<string> {
    const { url, close } = await serving(turn);
    const image = `driver=raw,file.driver=http,file.url=${url},file.timeout=2`;
    const target = `bad${copies++}.qcow2`;
    const said = await refusal(`convert --image-opts -O qcow2 ${image} ${target}`);
    close();
    expect(() => readFileSync(join(directory, target))).toThrow('ENOENT');
    return said;
  }

  const FAILED = /qemu-img: error while reading at byte \d+: Input\/output error\n$/;

  it('that stalls', async () => {
    const said = await copied((index) => index > 1);
    expect(said).toMatch(/^qemu-img: curl: Operation timed out after 2000 milliseconds with 0 bytes received\n/);
    expect(said).toMatch(FAILED);
  });

  it('that ends its answers early', async () => {
    const said = await copied((index, _, response) => {
      if (index < 2) return false;
      response.writeHead(206, { 'content-range': `bytes 0-99999/${file.length}`, 'content-length': 100000 });
      response.write(file.subarray(0, 1000), () => response.destroy());
      return true;
    });
    expect(said).toMatch(/^qemu-img: curl: /);
    expect(said).toMatch(FAILED);
  });

  it('that hangs up', async () => {
    const said = await copied((index, request) => index > 1 && Boolean(request.socket.destroy()));
    expect(said).toMatch(/^qemu-img: curl: (Empty reply from server|Recv failure: Connection reset by peer)\n/);
    expect(said).toMatch(FAILED);
  });

  it('that says it is busy', async () => {
    const said = await copied((index, _, response) => {
      if (index > 1) response.writeHead(503).end();
      return index > 1;
    });
    expect(said).toMatch(/^qemu-img: curl: The requested URL returned error: 503\n/);
    expect(said).toMatch(FAILED);
  });

  it('that talks garbage', async () => {
    const said = await copied((index, request) => {
      if (index > 1) request.socket.end('hello\r\n\r\n');
      return index > 1;
    });
    expect(said).toMatch(/^qemu-img: curl: Received HTTP\/0\.9 when not allowed\n/);
    expect(said).toMatch(FAILED);
  });

  it('that has another file after a while', async () => {
    const said = await copied((index, _, response) => {
      response.setHeader('etag', index > 1 ? '"b"' : '"a"');
      return false;
    });
    expect(said).toMatch(/^qemu-img: curl: The file on the server has changed since it was opened\n/);
    expect(said).toMatch(FAILED);
  });

  it('that has headers without end', async () => {
    const { url, close } = await serving((_, __, response) => {
      response.setHeader('x-long', 'a'.repeat(400000));
      return false;
    });
    expect(await refusal(`info ${url}`)).toContain('CURL: Error opening file: Too large response headers: ');
    close();
  });

  it('that is busy, silent or gone now and then', async () => {
    const { url, close } = await serving((index, request, response) => {
      if (index % 5 === 1) return Boolean(request.socket.destroy());
      if (index % 5 === 3) response.writeHead(429, { 'retry-after': '0' }).end();
      return index % 5 === 3;
    });
    await ours(`convert -f raw -O raw ${url} good.raw`, directory);
    expect(readFileSync(join(directory, 'good.raw')).equals(file)).toBe(true);
    close();
  });

  it('nobody there', async () => {
    expect(await refusal('info http://127.0.0.1:1/x')).toMatch(
      /^qemu-img: Could not open 'http:\/\/127\.0\.0\.1:1\/x': CURL: Error opening file: Failed to connect to 127\.0\.0\.1:1 after \d+ ms: Could not connect to server\n$/,
    );
    expect(await refusal('info http://nobody.invalid/x')).toContain('Could not resolve host: nobody.invalid\n');
  });
});
