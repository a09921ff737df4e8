import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpAnswer } from '../../../../src/block/http.ts';
import { NodeHttp } from '../../../../src/host/node/http.ts';
import { listening } from '../../../support/bridge.ts';

const http = new NodeHttp();
const servers = new Set<Server>();
const sockets = new Set<Socket>();
afterEach(() => {
  http.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers) server.close();
  servers.clear();
});

/** A server that answers requests in turn with these pieces, each as it comes; `null` ends the connection. */
async function answering(...answers: readonly (readonly (string | null)[])[]): Promise<string> {
  const left = [...answers];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      const pieces = left.shift() ?? [null];
      const send = (index: number): void => {
        const piece = pieces[index];
        if (piece === null) socket.end();
        else if (piece !== undefined) socket.write(piece, () => setImmediate(send, index + 1));
      };
      send(0);
    });
  });
  servers.add(server);
  return `http://127.0.0.1:${await listening(server)}/`;
}

function ask(url: string, method: 'GET' | 'HEAD' = 'GET', headers: Record<string, string> = {}): Promise<HttpAnswer> {
  return http.request({ method, url, headers, patience: 1000 });
}

async function textOf(answer: HttpAnswer): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of answer.body) pieces.push(bytes);
  return Buffer.concat(pieces).toString('latin1');
}

describe('answers of HTTP', () => {
  it.each<readonly [string, readonly (string | null)[], string]>([
    ['with a length', ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'], 'hello'],
    ['in pieces', ['HT', 'TP/1.1 200 OK\r\ncontent-len', 'gth: 5\r\n', '\r', '\nhe', 'll', 'o'], 'hello'],
    ['until the end', ['HTTP/1.1 200 OK\r\n\r\nhel', 'lo', null], 'hello'],
    ['of old servers', ['HTTP/1.0 200\r\n\r\nhello', null], 'hello'],
    [
      'in chunks',
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', '3\r', '\nhel\r\n2;x=y\r\nlo', '\r\n0\r\nx: y\r\n\r\n'],
      'hello',
    ],
    ['in no chunks', ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'], ''],
    [
      'behind others',
      ['HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'],
      'hello',
    ],
    ['without any', ['HTTP/1.1 204 Nothing\r\n\r\n'], ''],
  ])('%s', async (_, pieces, text) => {
    const answer = await ask(await answering(pieces));
    expect(await textOf(answer)).toBe(text);
  });

  it.each<readonly [string, readonly (string | null)[], string]>([
    ['that is none', ['hello\r\n\r\n'], 'Received HTTP/0.9 when not allowed'],
    ['that is none, and ends', ['he', null], 'Received HTTP/0.9 when not allowed'],
    ['that does not come', [null], 'Empty reply from server'],
    ['that stops', ['HTTP/1.1 200 OK\r\n'], 'Operation timed out after 1000 milliseconds with 17 bytes received'],
    [
      'with two lengths',
      ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n'],
      'Invalid Content-Length',
    ],
    ['with a strange length', ['HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n'], 'Invalid Content-Length: value'],
    ['with a strange header', ['HTTP/1.1 200 OK\r\nhello\r\n\r\n'], 'Header without colon'],
    ['that does not end', [`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(400_000)}`], 'Too large response headers'],
    ['whose body ends early', ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel', null], 'Recv failure'],
    [
      'with a strange chunk',
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n'],
      'Malformed encoding found in chunked-encoding',
    ],
  ])('%s', async (_, pieces, message) => {
    const url = await answering(pieces);
    await expect(ask(url).then(textOf)).rejects.toThrow(message);
  });

  it('come one behind the other over one connection', async () => {
    const hello = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
    const url = await answering([hello], [hello], [hello.slice(0, -5)], [hello]);
    const into = new Uint8Array(9);
    expect(await (await ask(url)).read?.(into)).toBe(5);
    expect(await textOf(await ask(url))).toBe('hello');
    (await ask(url, 'HEAD')).end();
    expect(await textOf(await ask(url))).toBe('hello');
    expect(sockets.size).toBe(1);
  });

  it('come over another connection when the one that was kept has ended', async () => {
    const url = await answering(['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'], [null], ['HTTP/1.1 204 OK\r\n\r\n']);
    expect((await ask(url)).status).toBe(200);
    expect((await ask(url)).status).toBe(204);
  });

  it('are not asked for with headers of several lines', async () => {
    const url = await answering();
    await expect(ask(url, 'GET', { cookie: 'a\r\nx: y' })).rejects.toThrow('more than one line');
  });
});
