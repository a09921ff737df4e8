/** Options of the `file` and `host_device` protocols. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import type { OptionValues } from '../../options/table.ts';
import type { CacheMode } from '../../storage/files.ts';
import type { Preallocation } from '../../storage/storage.ts';

/** Runtime options (`file.locking=off`). */
export const openOptions = {
  filename: { kind: 'string', help: 'Name of the file' },
  locking: { kind: 'string', help: 'Whether locks keep other programs from the file (auto, on, off)' },
  aio: { kind: 'string', help: 'How transfers are made (threads, native, io_uring); has no effect here' },
  'aio-max-batch': { kind: 'number', help: 'Most transfers handed over at once; has no effect here' },
  'drop-cache': { kind: 'bool', help: 'Whether cached pages are dropped during migration; has no effect here' },
  'x-check-cache-dropped': { kind: 'bool', help: 'Whether dropped pages are looked for; has no effect here' },
  'pr-manager': { kind: 'string', help: 'Persistent reservation manager' },
} as const;

/** Options of `create -f file`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the file' },
  nocow: { kind: 'bool', help: 'Write in place on file systems that copy on write (btrfs)' },
  preallocation: { kind: 'string', help: 'How space is reserved (off, falloc, full)' },
  extent_size_hint: {
    kind: 'size',
    help: 'Wanted size of the extents that the file system allocates, 0 for its own choice',
  },
} as const;

/** Options of `create -f host_device`. */
export const deviceCreateOptions = {
  preallocation: { kind: 'string', help: 'How space is reserved (off)' },
  size: { kind: 'size', help: 'Smallest size that the device has to have' },
} as const;

function invalidValue(value: unknown): BlockError {
  return invalidArgument(`invalid parameter value: ${String(value)}`);
}

/** Values of {@link openOptions}. */
export type OpenOptions = OptionValues<typeof openOptions>;

/** What of the runtime options has an effect. */
export interface FileSettings {
  readonly filename: string;
  readonly locking: boolean;
}

/**
 * Checks runtime options with the real tool's messages.
 * @param driver name for messages.
 */
export function checkOpenOptions(driver: string, options: OpenOptions, cache: CacheMode | undefined): FileSettings {
  const { filename, aio = 'threads', locking = 'auto', 'pr-manager': manager } = options;
  if (filename === undefined || filename === '') {
    throw invalidArgument(`The '${driver}' block driver requires a file name`);
  }
  if (!['threads', 'native', 'io_uring'].includes(aio)) throw invalidValue(aio);
  if (!['auto', 'on', 'off'].includes(locking)) throw invalidValue(locking);
  if (aio === 'native' && !['none', 'off', 'directsync'].includes(cache ?? 'writeback')) {
    throw invalidArgument('aio=native was specified, but it requires cache.direct=on, which was not specified.');
  }
  if (manager !== undefined) {
    throw new BlockError('not-found', `No persistent reservation manager with id '${manager}'`);
  }
  return { filename, locking: locking !== 'off' };
}

/** The value of `preallocation`; throws for words that no driver knows. */
export function checkPreallocation(value: string | number | boolean | undefined): Preallocation {
  switch (value) {
    case undefined:
      return 'off';
    case 'off':
    case 'metadata':
    case 'falloc':
    case 'full':
      return value;
    default:
      throw invalidValue(value);
  }
}
