import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HttpRequest } from '../../../../src/block/http.ts';
import type { ProtocolStorage } from '../../../../src/block/protocol.ts';
import { httpDriver } from '../../../../src/protocols/curl/driver.ts';
import type { OpenOptions } from '../../../../src/protocols/curl/options.ts';
import { MapSecretStore } from '../../../../src/testing.ts';
import { rangeOf, type Scripted, ScriptedHttp, servicesWith, soundly } from '../../../support/httpServer.ts';

const KiB = 1024;
const URL = 'http://server/dir/file';
const file = new Uint8Array(1300 * KiB + 123).map((_, at) => (at * 7 + (at >> 8)) & 0xff);

/** Comparing with `toEqual` takes a second for each of these. */
function expectSame(got: Uint8Array, wanted: Uint8Array): void {
  expect(Buffer.compare(got, wanted)).toBe(0);
}

interface Opened {
  readonly storage: ProtocolStorage;
  readonly complaints: readonly string[];
}

async function open(port: ScriptedHttp, options: OpenOptions = {}, more: object = {}): Promise<Opened> {
  const complaints: string[] = [];
  const storage = await httpDriver.open(
    {
      services: { ...servicesWith({ http: port }), ...more },
      writable: false,
      access: undefined,
      cache: undefined,
      discard: undefined,
      complain: (text) => complaints.push(text),
    },
    { url: URL, ...options },
  );
  return { storage, complaints };
}

/** A file whose first answer is sound, and the others not. */
function later(script: (request: HttpRequest, index: number) => Scripted): ScriptedHttp {
  return new ScriptedHttp((request, index) => (index === 0 ? soundly(request, file) : script(request, index)));
}

/** What somebody is told who reads the last bytes of such a file. */
async function failure(script: (request: HttpRequest, index: number) => Scripted): Promise<string | undefined> {
  const { storage, complaints } = await open(later(script));
  await expect(storage.read(1200 * KiB, new Uint8Array(1000))).rejects.toThrow('Input/output error');
  await expect(storage.read(1200 * KiB, new Uint8Array(1000))).rejects.toThrow('Input/output error');
  expect(complaints).toHaveLength(1);
  return complaints[0];
}

describe('a file on a server of HTTP', () => {
  it('reads as a plain array of bytes', async () => {
    const port = new ScriptedHttp((request) => soundly(request, file, { etag: '"a"' }));
    const reads = fc.array(
      fc.record({ at: fc.nat(file.length - 1), length: fc.oneof(fc.nat(2000), fc.nat(file.length)) }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(reads, fc.constantFrom(undefined, 0, 512, 128 * KiB), async (wanted, readahead) => {
        const { storage } = await open(port, readahead === undefined ? {} : { readahead });
        expect(storage.size()).toBe(file.length);
        await Promise.all(
          wanted.map(async ({ at, length }) => {
            const into = new Uint8Array(Math.min(length, file.length - at));
            await storage.read(at, into);
            expectSame(into, file.subarray(at, at + into.length));
          }),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('is read ahead of whoever reads on and on', async () => {
    const port = new ScriptedHttp((request) => soundly(request, file));
    const { storage } = await open(port);
    const sector = new Uint8Array(512);
    for (let at = 0; at + 512 <= file.length; at += 512) await storage.read(at, sector);
    expect(port.asked.length).toBeLessThanOrEqual(6);
  });

  it('is asked for no more than a block where somebody reads here and there', async () => {
    const port = new ScriptedHttp((request) => soundly(request, file));
    const { storage } = await open(port);
    for (const at of [1290, 10, 1200, 10, 1201, 1290]) await storage.read(at * KiB, new Uint8Array(512));
    expect(port.asked.map(rangeOf)).toEqual([
      [0, 512 * KiB - 1],
      [1280 * KiB, file.length - 1],
      [1152 * KiB, 1216 * KiB - 1],
    ]);
  });

  it('keeps no more than its share of memory, however much is read', async () => {
    const large = new Uint8Array(20 * 1024 * KiB);
    const port = new ScriptedHttp((request) => soundly(request, large));
    const { storage } = await open(port, { readahead: 0 });
    for (let at = 0; at < large.length; at += 64 * KiB) await storage.read(at, new Uint8Array(16));
    const before = port.asked.length;
    await storage.read(0, new Uint8Array(16));
    await storage.read(large.length - 64 * KiB, new Uint8Array(16));
    expect(port.asked.length).toBe(before + 1);
  });

  it('is asked for its beginning again where that did not come to an end', async () => {
    const port = new ScriptedHttp((request, index) => {
      const said = soundly(request, file) as Exclude<Scripted, 'reset'>;
      return index === 0 ? { ...said, ends: 100 * KiB } : said;
    });
    const { storage } = await open(port);
    const into = new Uint8Array(200 * KiB);
    await storage.read(0, into);
    expectSame(into, file.subarray(0, into.length));
  });

  it('may be empty, or shorter than what is asked for first', async () => {
    for (const length of [0, 1, 100]) {
      const small = file.subarray(0, length);
      const { storage } = await open(new ScriptedHttp((request) => soundly(request, small)));
      const into = new Uint8Array(length);
      await storage.read(0, into);
      expect([storage.size(), into]).toEqual([length, small.slice()]);
    }
  });

  it('has the size that the server says to HEAD where ranges do not say one', async () => {
    const port = new ScriptedHttp((request) => {
      const said = soundly(request, file);
      if (said === 'reset' || said.status !== 206) return said;
      const [first, last] = rangeOf(request) ?? [];
      return { ...said, headers: { ...said.headers, 'content-range': `bytes ${first}-${last}/*` } };
    });
    const { storage } = await open(port);
    expect(storage.size()).toBe(file.length);
    expect(port.asked.map(({ method }) => method)).toEqual(['GET', 'HEAD']);
  });

  it('may come in smaller parts than were asked for', async () => {
    const port = new ScriptedHttp((request) => {
      const [first, last] = rangeOf(request) ?? [0, 0];
      return soundly({ ...request, headers: { range: `bytes=${first}-${Math.min(last, first + 70000)}` } }, file);
    });
    const { storage } = await open(port);
    const into = new Uint8Array(file.length);
    await storage.read(0, into);
    expectSame(into, file);
  });
});

describe('opening', () => {
  const length = { 'content-length': String(file.length) };
  it.each<readonly [string, Scripted, string]>([
    ['status 403', { status: 403 }, 'The requested URL returned error: 403'],
    ['status 404', { status: 404 }, 'The requested URL returned error: 404'],
    ['status 416', { status: 416 }, 'The requested URL returned error: 416'],
    ['status 500 all the time', { status: 500 }, 'The requested URL returned error: 500'],
    ['no answer all the time', 'reset', 'Recv failure: Connection reset by peer'],
    ['no ranges', { status: 200, headers: length, body: file }, "Server does not support 'range' (byte ranges)."],
    [
      'ranges that are promised only',
      { status: 200, headers: { ...length, 'accept-ranges': 'bytes' }, body: file },
      "Server does not support 'range' (byte ranges).",
    ],
    ['no size', { status: 200, headers: { 'accept-ranges': 'bytes' } }, "Server didn't report file size."],
    ['redirects without end', { status: 302, headers: { location: '/dir/file' } }, 'Maximum (30) redirects followed'],
    ['a redirect to a file here', { status: 301, headers: { location: 'file:///x' } }, 'Protocol "file" not supported'],
  ])('%s', async (_, said, message) => {
    const port = new ScriptedHttp(() => said);
    await expect(open(port)).rejects.toThrow(`CURL: Error opening file: ${message}`);
    expect(port.asked.length).toBeLessThan(40);
  });

  it('goes on after what passes', async () => {
    const busy: readonly Scripted[] = [{ status: 503, headers: { 'retry-after': '1' } }, 'reset', { status: 429 }];
    const port = new ScriptedHttp((request, index) => busy[index] ?? soundly(request, file));
    const { storage } = await open(port);
    expect(storage.size()).toBe(file.length);
  });

  it('gives up at once when the server wants to be left alone for longer than the timeout', async () => {
    const port = new ScriptedHttp(() => ({ status: 503, headers: { 'retry-after': '3600' } }));
    await expect(open(port)).rejects.toThrow('returned error: 503');
    expect(port.asked).toHaveLength(1);
  });

  it.each<readonly [string, OpenOptions, string]>([
    ['no address', { url: undefined }, "curl block driver requires an 'url' option"],
    ['another protocol', { url: 'https://x' }, "(does not start with 'http://')"],
    ['a odd readahead', { readahead: 100 }, 'HTTP_READAHEAD_SIZE 100 is not a multiple of 512'],
    ['a long timeout', { timeout: 10001 }, 'timeout parameter is too large or negative'],
    ['two cookies', { cookie: 'a=b', 'cookie-secret': 's' }, 'cannot handle both cookie and cookie secret'],
    ['a secret that is not there', { 'password-secret': 'x' }, "No secret with id 'x'"],
  ])('%s is refused', async (_, options, message) => {
    const port = new ScriptedHttp(() => 'reset');
    await expect(open(port, options)).rejects.toThrow(message);
    expect(port.asked).toHaveLength(0);
  });
});

describe('reading', () => {
  const sound = (request: HttpRequest, headers: Record<string, string>): Scripted => soundly(request, file, headers);

  it.each<readonly [string, (request: HttpRequest, index: number) => Scripted, string]>([
    ['an error', () => ({ status: 404 }), 'curl: The requested URL returned error: 404'],
    ['errors all the time', () => ({ status: 502 }), 'curl: The requested URL returned error: 502'],
    ['no answer', () => 'reset', 'curl: Recv failure: Connection reset by peer'],
    [
      'no ranges any more',
      () => ({ status: 200, headers: { 'content-length': String(file.length) }, body: file }),
      "curl: Server does not support 'range' (byte ranges).\nDownload the file first, and use that",
    ],
    [
      'a file that has grown',
      (request) => soundly(request, new Uint8Array(1400 * KiB)),
      'curl: The file on the server has changed since it was opened',
    ],
    [
      'a file that has shrunk',
      (request) => soundly(request, new Uint8Array(100)),
      'curl: The file on the server has changed since it was opened',
    ],
    [
      'answers that end early',
      (request) => ({ ...(soundly(request, file) as Exclude<Scripted, 'reset'>), ends: 100 }),
      'curl: end of response with 65436 bytes missing',
    ],
    [
      'other bytes than were asked for',
      (request) => soundly({ ...request, headers: { range: 'bytes=0-99' } }, file),
      'curl: The server was asked for bytes from 1179648 on, and answers with others',
    ],
    [
      'a range that is none',
      () => ({ status: 206, headers: { 'content-range': 'bytes x-y/z' }, body: file }),
      'curl: The server was asked for bytes from 1179648 on, and answers with others',
    ],
  ])('%s is said once', async (_, script, line) => {
    expect(await failure(script)).toMatch(
      line.startsWith('curl: end') ? /^curl: end of response with \d+ bytes/ : line,
    );
  });

  it.each(['etag', 'last-modified'])('notices a file that has become another by its %s', async (name) => {
    const port = new ScriptedHttp((request, index) => sound(request, { [name]: index === 0 ? '"a"' : '"b"' }));
    const { storage, complaints } = await open(port);
    await expect(storage.read(1200 * KiB, new Uint8Array(1000))).rejects.toThrow('Input/output error');
    expect(complaints).toEqual(['curl: The file on the server has changed since it was opened']);
  });

  it('goes on where an answer has ended', async () => {
    let left = 3;
    const port = later((request) => {
      const said = soundly(request, file) as Exclude<Scripted, 'reset'>;
      return left-- > 0 ? { ...said, ends: 20000 } : said;
    });
    const { storage } = await open(port);
    const into = new Uint8Array(file.length);
    await storage.read(0, into);
    expectSame(into, file);
    expect(port.asked.slice(1).map((request) => rangeOf(request)?.[0])).toEqual([0, 20000, 40000, 60000]);
  });
});

describe('redirects', () => {
  const login = { username: 'me', 'password-secret': 's', cookie: 'a=b' };
  const store = new MapSecretStore();
  store.set('s', 'pw');
  const secrets = { secrets: store };
  const authorization = `Basic ${btoa('me:pw')}`;

  it('lead to the file, and are not asked for again', async () => {
    const port = new ScriptedHttp((request) =>
      request.url === URL ? { status: 302, headers: { location: 'http://other/x' } } : soundly(request, file),
    );
    const { storage } = await open(port, login, secrets);
    await storage.read(1200 * KiB, new Uint8Array(10));
    expect(port.asked.map(({ url }) => url)).toEqual([URL, 'http://other/x', 'http://other/x']);
    expect(port.asked[0]?.headers).toMatchObject({ authorization, cookie: 'a=b' });
    for (const { headers } of port.asked.slice(1)) {
      expect(Object.keys(headers)).toEqual(['range']);
    }
  });

  it('tell who one is to the same server only, or to whom the address says it', async () => {
    const port = new ScriptedHttp((request) => {
      if (request.url === URL) return { status: 301, headers: { location: '/two' } };
      if (request.url.endsWith('/two')) return { status: 307, headers: { location: 'http://u:p@server:81/three' } };
      return soundly(request, file);
    });
    await open(port, login, secrets);
    expect(port.asked.map(({ url, headers }) => [url, headers['authorization'], headers['cookie']])).toEqual([
      [URL, authorization, 'a=b'],
      ['http://server/two', authorization, 'a=b'],
      ['http://server:81/three', `Basic ${btoa('u:p')}`, undefined],
    ]);
  });

  it('are followed anew when the address that they led to has expired', async () => {
    let made = 0;
    const port = new ScriptedHttp((request, index) => {
      if (request.url === URL) return { status: 302, headers: { location: `/made/${++made}` } };
      return index > 1 && request.url.endsWith('/made/1') ? { status: 403 } : soundly(request, file);
    });
    const { storage } = await open(port);
    await storage.read(1200 * KiB, new Uint8Array(10));
    expect(made).toBe(2);
  });
});
