/** Errors of the operating system as `BlockError`s with the C library's words. */
import { BlockError, type ErrorContext, type ErrorKind } from '../../base/error.ts';
import { errorName } from './ffi.ts';

/** Texts of the GNU C library; Node's own differ. */
const TEXTS: Readonly<Record<string, string>> = {
  E2BIG: 'Argument list too long',
  EACCES: 'Permission denied',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  EAGAIN: 'Resource temporarily unavailable',
  EALREADY: 'Operation already in progress',
  EBADF: 'Bad file descriptor',
  EBUSY: 'Device or resource busy',
  ECANCELED: 'Operation canceled',
  ECONNABORTED: 'Software caused connection abort',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EDESTADDRREQ: 'Destination address required',
  EDQUOT: 'Disk quota exceeded',
  EEXIST: 'File exists',
  EFAULT: 'Bad address',
  EFBIG: 'File too large',
  EHOSTDOWN: 'Host is down',
  EHOSTUNREACH: 'No route to host',
  EILSEQ: 'Invalid or incomplete multibyte or wide character',
  EINTR: 'Interrupted system call',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EISCONN: 'Transport endpoint is already connected',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMEDIUMTYPE: 'Wrong medium type',
  EMFILE: 'Too many open files',
  EMLINK: 'Too many links',
  EMSGSIZE: 'Message too long',
  ENAMETOOLONG: 'File name too long',
  ENETDOWN: 'Network is down',
  ENETUNREACH: 'Network is unreachable',
  ENFILE: 'Too many open files in system',
  ENOBUFS: 'No buffer space available',
  ENODATA: 'No data available',
  ENODEV: 'No such device',
  ENOENT: 'No such file or directory',
  ENOLCK: 'No locks available',
  ENOMEDIUM: 'No medium found',
  ENOMEM: 'Cannot allocate memory',
  ENOPROTOOPT: 'Protocol not available',
  ENOSPC: 'No space left on device',
  ENOSYS: 'Function not implemented',
  ENOTCONN: 'Transport endpoint is not connected',
  ENOTDIR: 'Not a directory',
  ENOTEMPTY: 'Directory not empty',
  ENOTSOCK: 'Socket operation on non-socket',
  ENOTSUP: 'Operation not supported',
  ENOTTY: 'Inappropriate ioctl for device',
  ENXIO: 'No such device or address',
  EOVERFLOW: 'Value too large for defined data type',
  EPERM: 'Operation not permitted',
  EPIPE: 'Broken pipe',
  EPROTO: 'Protocol error',
  EPROTONOSUPPORT: 'Protocol not supported',
  EPROTOTYPE: 'Protocol wrong type for socket',
  ERANGE: 'Numerical result out of range',
  EREMOTEIO: 'Remote I/O error',
  EROFS: 'Read-only file system',
  ESHUTDOWN: 'Cannot send after transport endpoint shutdown',
  ESPIPE: 'Illegal seek',
  ESRCH: 'No such process',
  ESTALE: 'Stale file handle',
  ETIMEDOUT: 'Connection timed out',
  ETXTBSY: 'Text file busy',
  EUCLEAN: 'Structure needs cleaning',
  EUNATCH: 'Protocol driver not attached',
  EXDEV: 'Invalid cross-device link',
};

const KINDS: Readonly<Record<string, ErrorKind>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  EEXIST: 'exists',
  EISDIR: 'is-directory',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'too-large',
  EINVAL: 'invalid-argument',
  ELOOP: 'invalid-argument',
  ENAMETOOLONG: 'invalid-argument',
  ENOTSUP: 'unsupported',
  ENOSYS: 'unsupported',
  ENOTTY: 'unsupported',
  EROFS: 'read-only',
  EBUSY: 'busy',
  ETXTBSY: 'busy',
  EAGAIN: 'busy',
  EMFILE: 'limit',
  ENFILE: 'limit',
  ENOMEM: 'limit',
};

/** The kind that stands for a POSIX error name. */
function kindOf(code: string): ErrorKind {
  return KINDS[code] ?? 'io';
}

/** The C library's text for a POSIX error name. */
function textOf(code: string): string {
  return TEXTS[code] ?? `Unknown error ${code}`;
}

/**
 * An error for a failed system call.
 * @param message text in front of `: <strerror>`; without it the message is the bare text.
 */
export function systemError(
  code: string,
  message: string | undefined,
  context: ErrorContext,
  cause?: unknown,
): BlockError {
  const text = textOf(code);
  return new BlockError(kindOf(code), message === undefined ? text : `${message}: ${text}`, {
    context,
    posix: { code, text },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** An error for what a function of `node:fs` threw. Anything that is not a system error is passed through. */
export function nodeError(thrown: unknown, message: string | undefined, context: ErrorContext): unknown {
  if (!(thrown instanceof Error) || thrown instanceof BlockError) return thrown;
  const { code } = thrown as NodeJS.ErrnoException;
  // A name with a NUL byte: the C library never sees it, and no such file can exist.
  if (code === 'ERR_INVALID_ARG_VALUE') return systemError('ENOENT', message, context, thrown);
  if (code === undefined || !code.startsWith('E') || code.startsWith('ERR_')) return thrown;
  return systemError(code, message, context, thrown);
}

/** An error for a negative result of the C library. */
export function libcError(result: number, message: string | undefined, context: ErrorContext): BlockError {
  const name = errorName(-result);
  return systemError(name === 'EOPNOTSUPP' ? 'ENOTSUP' : name, message, context);
}
