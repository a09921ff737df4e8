import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import type { FtpPort, FtpServer, FtpSession, FtpTransfer } from '../../../../src/block/ftp.ts';
import type { ProtocolStorage } from '../../../../src/block/protocol.ts';
import { ftpDriver, ftpsDriver } from '../../../../src/protocols/curl/driver.ts';
import type { OpenOptions } from '../../../../src/protocols/curl/options.ts';
import { servicesWith } from '../../../support/httpServer.ts';

const KiB = 1024;
const file = new Uint8Array(700 * KiB + 7).map((_, at) => (at * 7 + (at >> 8)) & 0xff);

function ended(): BlockError {
  return new BlockError('io', 'Recv failure: Connection reset by peer', {
    posix: { code: 'ECONNRESET', text: 'Connection reset by peer' },
  });
}

/** A server with one file, and what it was asked. */
class Server implements FtpPort {
  readonly connected: FtpServer[] = [];
  readonly asked: string[] = [];
  /** What is there. */
  content: Uint8Array = file;
  /** Connections end after so many bytes. */
  lasts: number = Number.POSITIVE_INFINITY;
  size: (path: string) => number | undefined = () => this.content.length;

  async connect(server: FtpServer): Promise<FtpSession> {
    this.connected.push(server);
    let left = this.lasts;
    return {
      size: async (path) => {
        this.asked.push(`SIZE ${path}`);
        return this.size(path);
      },
      read: async (path, offset): Promise<FtpTransfer> => {
        this.asked.push(`RETR ${path} ${offset}`);
        let at = offset;
        return {
          next: async () => {
            if (left <= 0) throw ended();
            const bytes = this.content.subarray(at, at + Math.min(30000, left));
            at += bytes.length;
            left -= bytes.length;
            return bytes.length > 0 ? bytes : undefined;
          },
        };
      },
      close: () => undefined,
    };
  }
}

async function open(
  port: Server,
  url = 'ftp://server/dir/file',
  options: OpenOptions = {},
): Promise<{ readonly storage: ProtocolStorage; readonly complaints: readonly string[] }> {
  const complaints: string[] = [];
  const driver = url.startsWith('ftps') ? ftpsDriver : ftpDriver;
  const storage = await driver.open(
    {
      services: servicesWith({ ftp: port }),
      writable: false,
      access: undefined,
      cache: undefined,
      discard: undefined,
      complain: (text) => complaints.push(text),
    },
    { url, ...options },
  );
  return { storage, complaints };
}

describe('a file on a server of FTP', () => {
  it('reads as a plain array of bytes', async () => {
    const at = fc.nat(file.length - 1);
    const reads = fc.array(fc.record({ at, length: fc.oneof(fc.nat(2000), fc.nat(file.length)) }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(reads, async (wanted) => {
        const { storage } = await open(new Server());
        expect(storage.size()).toBe(file.length);
        await Promise.all(
          wanted.map(async ({ at: offset, length }) => {
            const into = new Uint8Array(Math.min(length, file.length - offset));
            await storage.read(offset, into);
            expect(Buffer.compare(into, file.subarray(offset, offset + into.length))).toBe(0);
          }),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('is read in one go by whoever reads on and on', async () => {
    const port = new Server();
    const { storage } = await open(port);
    const pieces = [0, 1, 2, 3].map(async (index) => storage.read(index * 170 * KiB, new Uint8Array(170 * KiB)));
    await Promise.all(pieces);
    expect(port.asked.filter((line) => line.startsWith('RETR'))).toEqual(['RETR dir/file 0']);
    expect(port.connected).toHaveLength(1);
  });

  it('is read on where a connection has ended', async () => {
    const port = new Server();
    port.lasts = 400 * KiB;
    const { storage } = await open(port);
    const into = new Uint8Array(file.length);
    await storage.read(0, into);
    expect(Buffer.compare(into, file)).toBe(0);
    expect(port.asked.filter((line) => line.startsWith('RETR'))).toEqual(['RETR dir/file 0', 'RETR dir/file 409600']);
  });

  it('is given up where connections end all the time', async () => {
    const port = new Server();
    port.lasts = 0;
    const { storage, complaints } = await open(port);
    await expect(storage.read(0, new Uint8Array(10))).rejects.toThrow('Input/output error');
    expect(complaints).toEqual(['curl: Recv failure: Connection reset by peer']);
    expect(port.connected.length).toBeLessThan(10);
  });

  it('is not taken for another one that has its name later', async () => {
    const port = new Server();
    port.lasts = 100;
    const { storage, complaints } = await open(port);
    port.content = file.subarray(0, 500 * KiB);
    await expect(storage.read(0, new Uint8Array(1000))).rejects.toThrow('Input/output error');
    expect(complaints).toEqual(['curl: The file on the server has changed since it was opened']);
  });

  it('that has become shorter ends early', async () => {
    const port = new Server();
    const { storage, complaints } = await open(port);
    port.content = file.subarray(0, 1000);
    await expect(storage.read(0, new Uint8Array(300 * KiB))).rejects.toThrow('Input/output error');
    expect(complaints).toEqual(['curl: end of response with 306200 bytes missing']);
  });
});

describe('addresses of FTP', () => {
  it.each([
    ['ftp://server/a%20b', 'a b'],
    ['ftp://server//etc/x', '/etc/x'],
    ['ftp://server/%2Fetc/x', '/etc/x'],
    ['ftp://server/x;type=i', 'x'],
  ])('%s', async (url, path) => {
    const port = new Server();
    await open(port, url);
    expect(port.asked).toEqual([`SIZE ${path}`]);
  });

  it('say who one is, and to whom', async () => {
    const port = new Server();
    await open(port);
    await open(port, 'ftps://me:p%40w@server:2121/x', { sslverify: false, timeout: 7 });
    await open(port, 'ftp://me:pw@server/x', { username: 'you' });
    const common = { host: 'server', verify: true, secure: false, patience: 5000 };
    expect(port.connected).toEqual([
      { ...common, port: 21, login: { username: 'anonymous', password: 'ftp@example.com' } },
      {
        ...common,
        port: 2121,
        secure: true,
        verify: false,
        patience: 7000,
        login: { username: 'me', password: 'p@w' },
      },
      { ...common, port: 21, login: { username: 'you', password: '' } },
    ]);
  });

  it.each([
    ['ftp://server/', "Server didn't report file size."],
    ['ftp://server/dir/', "Server didn't report file size."],
    ['ftp://server/x%0d%0aDELE x', 'URL rejected: Bad path'],
    ['ftp://server/x%0d%0aDELE%20x', 'URL rejected: Bad path'],
  ])('%s is none', async (url, message) => {
    await expect(open(new Server(), url)).rejects.toThrow(`CURL: Error opening file: ${message}`);
  });

  it('of servers that do not know sizes cannot be opened', async () => {
    const port = new Server();
    port.size = () => undefined;
    await expect(open(port)).rejects.toThrow("Server didn't report file size.");
  });
});
