/** Errors of the operating system as `BlockError`s with the C library's words. */
import { BlockError, type ErrorContext } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { errorName } from './ffi.ts';

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
