/** `qemu-img bench`. */
import type { BenchRequest } from '../../operations/requests.ts';
import type { CacheMode } from '../../storage/files.ts';
import { BlockError } from '../../base/error.ts';
import { type Command, defineCommand, type Given, type Session } from '../command.ts';
import { cacheValue, countValue, imageSource, INT32_MAX, mistake, oneFile, optional, sizeValue } from '../values.ts';
import { syntax } from './benchSyntax.ts';

/** Numbers of the command line; 0 stands for what depends on others. */
interface Numbers {
  count: number;
  depth: number;
  offset: number;
  bufferSize: number;
  stepSize: number;
  pattern: number;
  flushInterval: number;
  cache?: CacheMode;
  aio?: NonNullable<BenchRequest['aio']>;
}

function cacheMode(text: string): CacheMode | undefined {
  try {
    return cacheValue(text);
  } catch (thrown) {
    throw thrown instanceof BlockError ? thrown.reworded('Invalid cache mode') : thrown;
  }
}

function aioValue(text: string): NonNullable<BenchRequest['aio']> {
  if (text === 'threads' || text === 'native' || text === 'io_uring') return text;
  throw mistake(`Invalid aio option: ${text}`);
}

async function readArguments(session: Session, args: readonly string[]): Promise<{ given: Given; numbers: Numbers }> {
  const numbers: Numbers = {
    count: 75000,
    depth: 64,
    offset: 0,
    bufferSize: 4096,
    stepSize: 0,
    pattern: 0,
    flushInterval: 0,
  };
  const given = await session.read(args, {
    cache: (value) => {
      const mode = cacheMode(value);
      if (mode !== undefined) numbers.cache = mode;
    },
    count: (value) => {
      numbers.count = countValue('request count', value, 1n, INT32_MAX);
    },
    depth: (value) => {
      numbers.depth = countValue('queue depth', value, 1n, INT32_MAX);
    },
    offset: (value) => {
      numbers.offset = sizeValue('offset', value);
    },
    'buffer-size': (value) => {
      numbers.bufferSize = sizeValue('buffer size', value, 1n, INT32_MAX);
    },
    'step-size': (value) => {
      numbers.stepSize = sizeValue('step size', value, 0n, INT32_MAX);
    },
    pattern: (value) => {
      numbers.pattern = countValue('pattern byte', value, 0n, 255n);
    },
    'flush-interval': (value) => {
      numbers.flushInterval = countValue('flush interval', value, 0n, INT32_MAX);
    },
    aio: (value) => {
      numbers.aio = aioValue(value);
    },
    native: () => {
      numbers.aio = 'native';
    },
  });
  return { given, numbers };
}

/** Times requests. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const { given, numbers } = await readArguments(session, args);
  const filename = oneFile(given);
  const write = given.has('write');
  const { flushInterval, depth, cache, aio, ...plain } = numbers;
  if (!write && flushInterval !== 0) throw mistake('--flush-interval is only available in write tests');
  if (flushInterval !== 0 && flushInterval < depth) throw mistake("Flush interval can't be smaller than depth");
  const quiet = given.has('quiet');
  const request = {
    image: imageSource(session, given, filename),
    ...optional('cache', cache),
    ...plain,
    depth,
    write,
    flushInterval,
    drainOnFlush: !given.has('no-drain'),
    ...optional('aio', aio),
    forceShare: given.has('force-share'),
    quiet,
  };
  return session.execute('bench', request, { quiet });
});
