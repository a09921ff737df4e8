/** Options of the `file` and `host_device` protocols. */
import { BlockError } from '../../base/error.ts';
import type { AnyOptionValues, OptionTable } from '../../options/table.ts';
import type { CacheMode } from '../../storage/files.ts';
import type { Preallocation } from '../../storage/storage.ts';

/** Runtime options (`file.locking=off`). */
export const openOptions: OptionTable = {
  filename: { kind: 'string', help: 'Name of the file' },
  locking: { kind: 'string', help: 'Whether locks keep other programs from the file (auto, on, off)' },
  aio: { kind: 'string', help: 'How transfers are made (threads, native, io_uring); has no effect here' },
  'aio-max-batch': { kind: 'number', help: 'Most transfers handed over at once; has no effect here' },
  'drop-cache': { kind: 'bool', help: 'Whether cached pages are dropped during migration; has no effect here' },
  'x-check-cache-dropped': { kind: 'bool', help: 'Whether dropped pages are looked for; has no effect here' },
  'pr-manager': { kind: 'string', help: 'Persistent reservation manager' },
};

/** Options of `create -f file`, in the order in which the real tool repeats them. */
export const createOptions: OptionTable = {
  size: { kind: 'size', help: 'Size of the file' },
  nocow: { kind: 'bool', help: 'Write in place on file systems that copy on write (btrfs)' },
  preallocation: { kind: 'string', help: 'How space is reserved (off, falloc, full)' },
  extent_size_hint: {
    kind: 'size',
    help: 'Wanted size of the extents that the file system allocates, 0 for its own choice',
  },
};

/** Options of `create -f host_device`. */
export const deviceCreateOptions: OptionTable = {
  preallocation: { kind: 'string', help: 'How space is reserved (off)' },
  size: { kind: 'size', help: 'Smallest size that the device has to have' },
};

function invalidValue(value: unknown): BlockError {
  return new BlockError('invalid-argument', `invalid parameter value: ${String(value)}`);
}

/** What of the runtime options has an effect. */
export interface FileSettings {
  readonly filename: string;
  readonly locking: boolean;
}

/**
 * Checks runtime options with the real tool's messages.
 * @param driver name for messages.
 */
export function checkOpenOptions(driver: string, options: AnyOptionValues, cache: CacheMode | undefined): FileSettings {
  const filename = options['filename'];
  if (typeof filename !== 'string' || filename === '') {
    throw new BlockError('invalid-argument', `The '${driver}' block driver requires a file name`);
  }
  const aio = options['aio'] ?? 'threads';
  if (!['threads', 'native', 'io_uring'].includes(String(aio))) throw invalidValue(aio);
  const locking = options['locking'] ?? 'auto';
  if (!['auto', 'on', 'off', true, false].includes(locking as string)) throw invalidValue(locking);
  if (aio === 'native' && !['none', 'off', 'directsync'].includes(cache ?? 'writeback')) {
    throw new BlockError(
      'invalid-argument',
      'aio=native was specified, but it requires cache.direct=on, which was not specified.',
    );
  }
  const manager = options['pr-manager'];
  if (manager !== undefined) {
    throw new BlockError('not-found', `No persistent reservation manager with id '${manager}'`);
  }
  return { filename, locking: locking !== 'off' && locking !== false };
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
