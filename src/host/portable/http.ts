/**
 * The port of HTTP over `fetch`, which every platform has. It follows redirects by itself, looks at certificates always, and
 * in browsers asks only those servers that let pages of others ask (CORS), with `Range` and `Authorization` if they say so.
 */
import { BlockError, unsupported } from '../../base/error.ts';
import type { HttpAnswer, HttpPort, HttpRequest } from '../../block/http.ts';
import { wait } from '../shared/time.ts';

function silent(patience: number, received: number): BlockError {
  return new BlockError('io', `Operation timed out after ${patience} milliseconds with ${received} bytes received`, {
    posix: { code: 'ETIMEDOUT', text: 'Connection timed out' },
  });
}

function broken(cause: unknown): BlockError {
  // Why, only the platform knows, and keeps to itself.
  const message = cause instanceof Error ? cause.message : 'The connection has ended';
  return new BlockError('io', message, { cause, posix: { code: 'ECONNRESET', text: 'Connection reset by peer' } });
}

/** Waits for work at most for so long; then everything of the request is given up. */
async function within<T>(work: Promise<T>, patience: number, received: number, stop: AbortController): Promise<T> {
  if (patience === 0) return work;
  const done = new AbortController();
  const late = wait(patience, done.signal).then(() => {
    if (done.signal.aborted) return undefined;
    const error = silent(patience, received);
    stop.abort(error);
    throw error;
  });
  late.catch(() => undefined);
  try {
    return (await Promise.race([work, late])) as T;
  } finally {
    done.abort();
  }
}

/** Whether the platform can ask anybody. */
export function hasFetch(): boolean {
  return typeof fetch === 'function';
}

/** Servers of HTTP, by the means of the platform. */
export const fetchHttp: HttpPort = {
  async request({ method, url, headers, verify = true, proxyLogin, patience }: HttpRequest): Promise<HttpAnswer> {
    if (!verify) throw unsupported('Certificates are always looked at here');
    if (proxyLogin) throw unsupported('Proxies are the affair of the platform here');
    const stop = new AbortController();
    const asked = fetch(url, { method, headers, signal: stop.signal });
    const {
      status,
      headers: told,
      body,
    } = await within(asked, patience, 0, stop).catch((error: unknown) => {
      throw error instanceof BlockError ? error : broken(error);
    });
    const found: Record<string, string> = {};
    told.forEach((value, name) => {
      found[name.toLowerCase()] = value;
    });
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const reader = body?.getReader();
      if (!reader) return;
      for (let received = 0; ; ) {
        const { value: bytes } = await within<{ readonly value?: Uint8Array | undefined }>(
          reader.read(),
          patience,
          received,
          stop,
        ).catch((error: unknown) => {
          throw error instanceof BlockError ? error : broken(error);
        });
        if (!bytes) return;
        received += bytes.length;
        yield bytes;
      }
    }
    return { status, headers: found, body: pieces(), end: () => stop.abort() };
  },
};
