/** What curl says when a connection cannot be made, or ends. */
import { BlockError } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { distrust } from './trust.ts';

/** Whom somebody wanted to talk to. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  /** It is a proxy on the way to others. */
  readonly isProxy?: boolean;
}

/** Codes that are told apart from "could not be reached" by whoever tries again. */
function failure(code: string, message: string, cause?: unknown): BlockError {
  return new BlockError('io', message, { cause, posix: { code, text: systemError(code, undefined, {}).strerror } });
}

/** Nothing has come for so many milliseconds. */
export function timedOut(milliseconds: number, received: number): BlockError {
  return failure('ETIMEDOUT', `Operation timed out after ${milliseconds} milliseconds with ${received} bytes received`);
}

/** The connection has ended while an answer was under way. */
export function connectionLost(error: Error | undefined): BlockError {
  const { code = 'ECONNRESET' } = (error ?? {}) as NodeJS.ErrnoException;
  return failure(code === 'EPIPE' ? code : 'ECONNRESET', 'Recv failure: Connection reset by peer', error);
}

const NO_HTTP = 'Received HTTP/0.9 when not allowed';

/** What curl says of an answer that Node's parser of HTTP does not take, by the names that it has for what is wrong. */
const UNREADABLE: Readonly<Record<string, string>> = {
  HPE_INVALID_CONTENT_LENGTH: 'Invalid Content-Length: value',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'Invalid Content-Length: value',
  HPE_INVALID_HEADER_TOKEN: 'Header without colon',
  HPE_INVALID_CHUNK_SIZE: 'Malformed encoding found in chunked-encoding',
};

/** What is wrong with an answer whose head has come. */
export function brokenAnswer(error: NodeJS.ErrnoException | undefined): BlockError {
  if (error instanceof BlockError) return error;
  const { code = '' } = error ?? {};
  const text = Object.hasOwn(UNREADABLE, code) ? UNREADABLE[code] : undefined;
  return text === undefined ? connectionLost(error) : failure('EIO', text, error);
}

/** How much of a head has come. */
interface Arrived {
  /** Bytes. */
  readonly received: number;
  /** Bytes that there may be. */
  readonly most: number;
}

/**
 * What kept a request from being answered.
 * @param since when it began, in milliseconds of `Date.now`.
 */
export function unanswered(
  error: NodeJS.ErrnoException,
  peer: Peer,
  since: number,
  { received, most }: Arrived = { received: 0, most: 0 },
): BlockError {
  const { code = '', syscall } = error;
  if (error instanceof BlockError) return error;
  if (syscall === 'getaddrinfo') {
    return failure('ENOTFOUND', `Could not resolve ${peer.isProxy ? 'proxy' : 'host'}: ${peer.host}`, error);
  }
  if (syscall === 'connect' || error instanceof AggregateError) {
    const where = `${peer.host}:${peer.port}`;
    const text = `Failed to connect to ${where} after ${Date.now() - since} ms: Could not connect to server`;
    return failure(code === '' ? 'ECONNREFUSED' : code, text, error);
  }
  const untrusted = distrust(error, peer.host);
  if (untrusted) return untrusted;
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return failure('EIO', `Too large response headers: ${received} > ${most}`, error);
    case 'EPIPE':
    case 'ECONNRESET':
      if (received > 0 && syscall === undefined) return failure('EIO', NO_HTTP, error);
      return failure(code, syscall === undefined ? 'Empty reply from server' : connectionLost(error).message, error);
    default:
      if (code.startsWith('HPE_')) return failure('EIO', UNREADABLE[code] ?? NO_HTTP, error);
      if (/^ERR_(?:SSL|TLS)|^EPROTO$/.test(code)) {
        const { reason } = error as { readonly reason?: string };
        return failure('EIO', `TLS handshake failed: ${reason ?? error.message}`, error);
      }
      return failure('EIO', error.message, error);
  }
}
