/**
 * The one error type of qimg. Everything that goes wrong with an image, a file or an argument is a
 * {@link BlockError}; the program turns it into one line, a library user switches on {@link BlockError.kind}.
 */

import { type Hint, hintText } from './hint.ts';

/** Stable classification of a {@link BlockError}; safe to switch on. */
export type ErrorKind =
  /** A file, snapshot, bitmap or secret of that name is not there. */
  | 'not-found'
  /** The operating system does not let this user do that, a passphrase is wrong, or the image is marked as not to be written. */
  | 'permission-denied'
  /** There is something of that name already. */
  | 'exists'
  /** The name leads to a directory where a file is needed. */
  | 'is-directory'
  /** The file system, the quota or a fixed area of the image is full. */
  | 'no-space'
  /** A size is beyond what the format or the file system can hold. */
  | 'too-large'
  /** Reading or writing failed below. */
  | 'io'
  /** A name, number or option is wrong, or does not go with another. */
  | 'invalid-argument'
  /** The image is damaged. */
  | 'invalid-image'
  /** The file is not an image of the format that was given. */
  | 'wrong-format'
  /** The format, the image or this machine cannot do that. */
  | 'unsupported'
  /** Writing to what was opened for reading, or lies on a read-only file system. */
  | 'read-only'
  /** Another program uses the image. */
  | 'locked'
  /** A rule of this package forbids it: the gate refuses a file that only the image names, or a guessed format must stay. */
  | 'denied'
  /** The caller's signal stopped the operation. */
  | 'aborted'
  /** Copies of one image differ, which a filter keeps beside each other: nothing that was read can be trusted. */
  | 'mismatch'
  /** An access behind the end. */
  | 'out-of-range'
  /** The file, device or image is in a state of use that does not allow it now. */
  | 'busy'
  /** Memory, open files or another limit of this package or machine is used up. */
  | 'limit'
  /** A mistake of this package, or an exception of a function that the caller passed in; see `cause`. */
  | 'internal';

/** What a {@link BlockError} was about, for programs; never needed to understand the message. */
export interface ErrorContext {
  /** Operation of the library, for instance `convert`. */
  readonly operation?: string;
  /** How far the operation had come, where that matters: `compare` fails at the `status` of a place, or at its `read`. */
  readonly phase?: 'status' | 'read';
  /** Name of the file or image: the one that the failure is about, where that is known, else the one that was asked for. */
  readonly filename?: string;
  /** Format of that image. */
  readonly format?: string;
  /** Name or id of the internal snapshot that was asked for. */
  readonly snapshot?: string;
  /** Name of the persistent bitmap that was asked for. */
  readonly bitmap?: string;
  /** What was being done to the file, for instance `read` or `open`. */
  readonly access?: string;
  /** Byte offset of that access within the file or image. */
  readonly offset?: number;
  /** Its length in bytes. */
  readonly length?: number;
}

/** POSIX text and error name of each kind, where the C library has one. */
const POSIX: Record<ErrorKind, readonly [code: string, text: string]> = {
  'not-found': ['ENOENT', 'No such file or directory'],
  'permission-denied': ['EACCES', 'Permission denied'],
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
  mismatch: ['EIO', 'Input/output error'],
  busy: ['EBUSY', 'Device or resource busy'],
  limit: ['EFBIG', 'File too large'],
  internal: ['EIO', 'Input/output error'],
};

/** Further construction details of a {@link BlockError}. */
export interface ErrorDetails {
  readonly context?: ErrorContext;
  readonly cause?: unknown;
  /** What a person sees below the message (`Is another process using the image [x]?`), one or several. */
  readonly hint?: Hint | readonly Hint[];
  /** POSIX error name and text when they differ from those of the kind. */
  readonly posix?: { readonly code: string; readonly text: string };
}

/** An error with a stable kind, a message for people, and its context. */
export class BlockError extends Error {
  /** Stable classification. */
  readonly kind: ErrorKind;
  /** Operation, file and offset, as far as they are known. */
  readonly context: ErrorContext;
  /** Advice for a person in the library's words, without a final newline; undefined if there is none. */
  readonly hint: string | undefined;
  /** The same before it was put in words. */
  readonly hints: readonly Hint[];
  /** POSIX error name, for instance `ENOENT`. */
  readonly code: string;
  /** The C library's text for {@link code}, as scripts expect it in messages. */
  readonly strerror: string;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'BlockError';
    this.kind = kind;
    this.context = details.context ?? {};
    this.hints = listOf(details.hint);
    this.hint = this.hints.length === 0 ? undefined : this.hints.map(hintText).join('\n');
    this.code = details.posix?.code ?? POSIX[kind][0];
    this.strerror = details.posix?.text ?? POSIX[kind][1];
  }

  /** The same error with `text` in front of its message; kind, hint, code and context are kept. */
  prepend(text: string): BlockError {
    return this.reworded(text + this.message);
  }

  /**
   * The same error with another message (and, where they are given, other hints); this one becomes its cause. What says that
   * copies differ stays as it is, whatever was being done.
   */
  reworded(message: string, hints: readonly Hint[] = this.hints): BlockError {
    if (this.kind === 'mismatch') return this;
    return this.#copy(message, { cause: this, context: this.context, hint: hints });
  }

  /** The same error with what `context` says more than its own. */
  within(context: ErrorContext): BlockError {
    const error = this.#copy(this.message, {
      ...(this.cause === undefined ? {} : { cause: this.cause }),
      context: { ...context, ...this.context },
      hint: this.hints,
    });
    if (this.stack !== undefined) error.stack = this.stack;
    return error;
  }

  #copy(message: string, details: ErrorDetails): BlockError {
    return new BlockError(this.kind, message, { ...details, posix: { code: this.code, text: this.strerror } });
  }
}

function listOf(hint: ErrorDetails['hint']): readonly Hint[] {
  if (hint === undefined) return [];
  return isList(hint) ? hint : [hint];
}

function isList(hint: Hint | readonly Hint[]): hint is readonly Hint[] {
  return Array.isArray(hint);
}

/** True for a failure that is the end of everything, and is not put in other words, whatever was being done. */
export function isFinal({ kind }: BlockError): boolean {
  return kind === 'aborted' || kind === 'mismatch';
}

/** A name, number or option is wrong. */
export function invalidArgument(message: string, details?: ErrorDetails): BlockError {
  return new BlockError('invalid-argument', message, details);
}

/** The image is damaged. */
export function invalidImage(message: string, details?: ErrorDetails): BlockError {
  return new BlockError('invalid-image', message, details);
}

/** The format, the image or this machine cannot do that. */
export function unsupported(message: string, details?: ErrorDetails): BlockError {
  return new BlockError('unsupported', message, details);
}

/** Reading or writing failed below: the C library's `Input/output error`. */
export function ioError(context: ErrorContext = {}, details: Omit<ErrorDetails, 'context'> = {}): BlockError {
  return new BlockError('io', POSIX.io[1], { ...details, context });
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
