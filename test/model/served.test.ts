/**
 * Random requests from two connections beside a plain byte array, with flushes, and with kills of clients and of the server:
 * what was flushed is there, and an image is sound whatever happens.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../src/node.ts';
import { findOracle, oracleProgram, reasonToSkip } from '../support/oracle.ts';
import { must, ours, ourProgram, words } from '../support/program.ts';

/** Requests for each format; `QIMG_SERVE_REQUESTS` for a long run. */
const REQUESTS = Number(process.env['QIMG_SERVE_REQUESTS'] ?? 600);
const SIZE = 4 << 20;
const LONGEST = 200_000;

let directory: string;
let server: ChildProcess | undefined;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-served-'));
});
afterAll(() => {
  server?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** Numbers from 0 to 1 that are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

async function start(image: string, format: string): Promise<void> {
  const child = spawn(ourProgram(), words(`serve --print-uri -w -t -k s.sock -f ${format} ${image}`), {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  server = child;
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the server has ended')));
  });
}

async function end(signal: NodeJS.Signals): Promise<void> {
  const child = server;
  const ended = new Promise((resolve) => child?.once('exit', resolve));
  child?.kill(signal);
  await ended;
}

type Image = Awaited<ReturnType<typeof openImage>>;

const connect = (): Promise<Image> =>
  openImage({ options: { driver: 'raw', file: { driver: 'nbd', path: `${directory}/s.sock` } } }, { writable: true });

/** A client that announces a long write, sends a part of it and hangs up. */
async function dieWriting(offset: number, sent: number): Promise<void> {
  const socket = createConnection({ path: join(directory, 's.sock') });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const header = Buffer.alloc(28);
  header.writeUInt32BE(0x25609513, 0);
  header.writeUInt16BE(1, 6);
  header.writeBigUInt64BE(BigInt(offset), 16);
  header.writeUInt32BE(LONGEST, 24);
  // The handshake is answered to before anything is read of what follows: an export by its name, without zeroes.
  const option = Buffer.from('\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0', 'latin1');
  socket.write(Buffer.concat([option, header, Buffer.alloc(sent, 0xdd)]));
  socket.once('data', () => socket.end());
  socket.resume();
  await closed;
}

/** The array, and what each byte may be instead: what was written since the last flush may be there or not after a kill. */
class Model {
  readonly bytes = new Uint8Array(SIZE);
  readonly #changes: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  #flushed = new Uint8Array(SIZE);

  write(offset: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
    this.#changes.push({ offset, bytes });
  }

  flush(): void {
    this.#flushed = this.bytes.slice();
    this.#changes.length = 0;
  }

  /** Checks what is there after a kill, which counts from now on. */
  accept(found: Uint8Array): void {
    const changed = new Uint8Array(SIZE);
    for (const { offset, bytes } of this.#changes) changed.fill(1, offset, offset + bytes.length);
    for (let at = 0; at < SIZE; at++) {
      if (changed[at] === 0 && found[at] !== this.#flushed[at]) throw new Error(`byte ${at} was flushed, and is lost`);
    }
    for (let at = 0; at < SIZE; at++) {
      if (changed[at] === 0 || found[at] === this.#flushed[at]) continue;
      const value = found[at];
      const known = this.#changes.some(({ offset, bytes }) => bytes[at - offset] === value);
      if (!known) throw new Error(`byte ${at} is ${value}, which nobody has written`);
    }
    this.bytes.set(found);
    this.flush();
  }
}

async function whole(image: Image): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIZE);
  await image.read(0, bytes);
  return bytes;
}

describe.each(['raw', 'qcow2'])('random requests through a server of %s', (format) => {
  it('do what they do to an array', async () => {
    const image = `m.${format}`;
    if (format === 'raw') writeFileSync(join(directory, image), new Uint8Array(SIZE));
    else await ours(`create -q -f ${format} ${image} ${SIZE}`, directory);
    const random = numbers(format.length * 7919);
    const below = (limit: number): number => Math.floor(random() * limit);
    const model = new Model();
    await start(image, format);
    let clients = [await connect(), await connect()] as const;
    const one = (): Image => clients[below(2)] as Image;

    const change = async (): Promise<void> => {
      // Two at a time, on both connections; their places do not overlap.
      const border = below(SIZE);
      const steps = clients.map(async (client, index) => {
        const [from, to] = index === 0 ? [0, border] : [border, SIZE];
        if (to - from < 2) return;
        const offset = from + below(to - from - 1);
        const length = 1 + below(Math.min(LONGEST, to - offset - 1));
        const kind = random();
        const bytes = new Uint8Array(length);
        if (kind < 0.7) bytes.fill(1 + below(255));
        model.write(offset, bytes);
        if (kind < 0.7) await client.write(offset, bytes);
        else await client.writeZeroes(offset, length, { unmap: kind < 0.85 });
      });
      await Promise.all(steps);
    };
    const look = async (): Promise<void> => {
      const offset = below(SIZE - 1);
      const bytes = new Uint8Array(1 + below(Math.min(LONGEST, SIZE - offset)));
      await one().read(offset, bytes);
      expect(Buffer.compare(bytes, model.bytes.subarray(offset, offset + bytes.length))).toBe(0);
    };

    for (let count = 0; count < REQUESTS; count++) {
      const what = random();
      if (what < 0.55) await change();
      else if (what < 0.9) await look();
      else if (what < 0.985) {
        // Of one connection, for what was written on both.
        await one().flush();
        model.flush();
      } else if (what < 0.99) {
        await end('SIGKILL');
        for (const client of clients) await Promise.resolve(client.close()).catch(() => undefined);
        await must(oracleOr('qemu-img'), words(`check -q -r leaks -f ${format} ${image}`), { cwd: directory }).catch(
          (error: unknown) => {
            if (format !== 'raw') throw error;
          },
        );
        await start(image, format);
        clients = [await connect(), await connect()];
        model.accept(await whole(clients[0]));
      } else {
        // A client that is gone in the middle of what it writes, which nobody has written then.
        await dieWriting(below(SIZE - LONGEST), 1 + below(LONGEST - 1));
        await look();
      }
    }
    expect(Buffer.compare(await whole(clients[1]), model.bytes)).toBe(0);
    for (const client of clients) await client.close();
    await end('SIGTERM');
    writeFileSync(join(directory, 'expected'), model.bytes);
    await must(oracleOr('qemu-img'), words(`compare -f raw -F ${format} expected ${image}`), { cwd: directory });
    if (format === 'qcow2') await must(oracleOr('qemu-img'), words(`check -q -f qcow2 ${image}`), { cwd: directory });
  }, 600_000);
});

/** The real program, where there is one. */
function oracleOr(name: 'qemu-img'): string {
  return reasonToSkip(findOracle()) === undefined ? oracleProgram(name) : ourProgram();
}
