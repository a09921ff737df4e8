/** Servers of HTTP in memory, for a client that gets its answers from here: they do what a script says. */
import { BlockError } from '../../src/base/error.ts';
import type { HttpAnswer, HttpPort, HttpRequest } from '../../src/block/http.ts';
import type { Services } from '../../src/block/services.ts';
import { memoryServices } from '../../src/testing.ts';

/** What a server says to one request; `'reset'`: nothing. */
export type Scripted =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: Uint8Array;
      /** The connection ends after so many bytes of the body. */
      readonly ends?: number;
    }
  | 'reset';

/** A connection that has ended. */
function ended(): BlockError {
  const posix = { code: 'ECONNRESET', text: 'Connection reset by peer' };
  return new BlockError('io', 'Recv failure: Connection reset by peer', { posix });
}

/** The range that a request is about. */
export function rangeOf({ headers }: HttpRequest): readonly [first: number, last: number] | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
  return first === undefined ? undefined : [Number(first), Number(last)];
}

/** What a sound server says of a file. */
export function soundly(request: HttpRequest, file: Uint8Array, headers: Record<string, string> = {}): Scripted {
  const range = rangeOf(request);
  const all = { 'accept-ranges': 'bytes', ...headers };
  if (!range) return { status: 200, headers: { ...all, 'content-length': String(file.length) }, body: file };
  const [first, asked] = range;
  const last = Math.min(asked, file.length - 1);
  if (first > last) return { status: 416, headers: { ...all, 'content-range': `bytes */${file.length}` } };
  const body = file.subarray(first, last + 1);
  return {
    status: 206,
    headers: {
      ...all,
      'content-range': `bytes ${first}-${last}/${file.length}`,
      'content-length': String(body.length),
    },
    body,
  };
}

/** Servers that answer by a script, and remember what they were asked. */
export class ScriptedHttp implements HttpPort {
  readonly asked: HttpRequest[] = [];
  readonly #script: (request: HttpRequest, index: number) => Scripted | Promise<Scripted>;

  constructor(script: (request: HttpRequest, index: number) => Scripted | Promise<Scripted>) {
    this.#script = script;
  }

  async request(request: HttpRequest): Promise<HttpAnswer> {
    this.asked.push(request);
    const said = await this.#script(request, this.asked.length - 1);
    if (said === 'reset') throw ended();
    const { status, headers = {}, body = new Uint8Array(), ends } = said;
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const length = request.method === 'HEAD' ? 0 : (ends ?? body.length);
      for (let at = 0; at < length; at += 10000) yield body.subarray(at, Math.min(at + 10000, length));
      if (ends !== undefined) throw ended();
    }
    return { status, headers, body: pieces(), end: () => undefined };
  }
}

/** Services with these servers, and a clock that only moves while somebody waits. */
export function servicesWith(parts: Pick<Services, 'http'> | Pick<Services, 'ftp'>): Services {
  let milliseconds = 0;
  return {
    ...memoryServices(),
    ...parts,
    now: () => ({ seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1e6 }),
    wait: async (duration) => {
      milliseconds += duration;
    },
  };
}
