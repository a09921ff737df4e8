/**
 * The one error type of qimg. Everything that goes wrong with an image, a file or an argument is a
 * {@link BlockError}; the program turns it into one line, a library user switches on {@link BlockError.kind}.
 */

/** Stable classification of a {@link BlockError}; safe to switch on. */
export type ErrorKind =
  | 'not-found'
  | 'permission'
  | 'exists'
  | 'is-directory'
  | 'no-space'
  | 'too-large'
  | 'io'
  | 'invalid-argument'
  | 'invalid-image'
  | 'wrong-format'
  | 'unsupported'
  | 'read-only'
  | 'locked'
  | 'denied'
  | 'aborted'
  | 'out-of-range'
  | 'busy'
  | 'limit'
  | 'internal';

/** What a {@link BlockError} was about, for programs; never needed to understand the message. */
export interface ErrorContext {
  /** Name of the file or image as the caller gave it. */
  readonly file?: string;
  /** Byte offset within that file or image. */
  readonly offset?: number;
  /** Length in bytes of the failed access. */
  readonly length?: number;
  /** What was being done, for instance `read` or `open`. */
  readonly operation?: string;
}

/** POSIX text and error name of each kind, where the C library has one. */
const POSIX: Record<ErrorKind, readonly [code: string, text: string]> = {
  'not-found': ['ENOENT', 'No such file or directory'],
  permission: ['EACCES', 'Permission denied'],
  exists: ['EEXIST', 'File exists'],
  'is-directory': ['EISDIR', 'Is a directory'],
  'no-space': ['ENOSPC', 'No space left on device'],
  'too-large': ['EFBIG', 'File too large'],
  io: ['EIO', 'Input/output error'],
  'invalid-argument': ['EINVAL', 'Invalid argument'],
  'invalid-image': ['EINVAL', 'Invalid argument'],
  'wrong-format': ['EINVAL', 'Invalid argument'],
  unsupported: ['ENOTSUP', 'Operation not supported'],
  'read-only': ['EROFS', 'Read-only file system'],
  locked: ['EAGAIN', 'Resource temporarily unavailable'],
  denied: ['EPERM', 'Operation not permitted'],
  aborted: ['ECANCELED', 'Operation canceled'],
  'out-of-range': ['EIO', 'Input/output error'],
  busy: ['EBUSY', 'Device or resource busy'],
  limit: ['EFBIG', 'File too large'],
  internal: ['EIO', 'Input/output error'],
};

/** Further construction details of a {@link BlockError}. */
export interface ErrorDetails {
  readonly context?: ErrorContext;
  readonly cause?: unknown;
  /** Lines a person sees below the message (`Is another process using the image [x]?`). */
  readonly hint?: string;
  /** POSIX error name and text when they differ from those of the kind. */
  readonly posix?: { readonly code: string; readonly text: string };
}

/** An error with a stable kind, a message for people, and its context. */
export class BlockError extends Error {
  /** Stable classification. */
  readonly kind: ErrorKind;
  /** File, offset and operation, as far as they are known. */
  readonly context: ErrorContext;
  /** Further lines for a person, without the final newline; undefined if there are none. */
  readonly hint: string | undefined;
  /** POSIX error name, for instance `ENOENT`. */
  readonly code: string;
  /** The C library's text for {@link code}, as scripts expect it in messages. */
  readonly strerror: string;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'BlockError';
    this.kind = kind;
    this.context = details.context ?? {};
    this.hint = details.hint;
    this.code = details.posix?.code ?? POSIX[kind][0];
    this.strerror = details.posix?.text ?? POSIX[kind][1];
  }

  /** The same error with `text` in front of its message; kind, hint, code and context are kept. */
  prepend(text: string): BlockError {
    return this.reworded(text + this.message);
  }

  /** The same error with another message; this one becomes its cause. */
  reworded(message: string): BlockError {
    return new BlockError(this.kind, message, {
      context: this.context,
      cause: this,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      posix: { code: this.code, text: this.strerror },
    });
  }
}

/**
 * An error whose message is `what: <strerror>` in the style of the C library.
 * @param kind decides the POSIX text.
 */
export function posixError(kind: ErrorKind, what: string, details: ErrorDetails = {}): BlockError {
  const text = details.posix?.text ?? POSIX[kind][1];
  return new BlockError(kind, `${what}: ${text}`, details);
}

/** Any thrown value as a {@link BlockError}; foreign errors become kind `internal` with the original as cause. */
export function asBlockError(thrown: unknown): BlockError {
  if (thrown instanceof BlockError) return thrown;
  if (thrown instanceof RangeError && /allocation|Invalid (typed )?array/i.test(thrown.message)) {
    return new BlockError('limit', 'Cannot allocate memory', {
      cause: thrown,
      posix: { code: 'ENOMEM', text: 'Cannot allocate memory' },
    });
  }
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new BlockError('internal', text, { cause: thrown });
}

/** Runs `body`; an error's message becomes `what: <strerror>`, however much more the error had to say. */
export async function withStrerror<T>(what: string, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`${what}: ${error.strerror}`);
  }
}

/** Runs `body`; an error gets `text` in front of its message. */
export async function withPrefix<T>(text: string, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (thrown) {
    throw asBlockError(thrown).prepend(text);
  }
}
