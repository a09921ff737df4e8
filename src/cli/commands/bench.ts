/** `qemu-img bench`. */
import { BlockError } from '../../base/error.ts';
import type { BenchPlan } from '../../operations/bench.ts';
import type { BenchRequest } from '../../operations/requests.ts';
import { BENCH_DEPTH } from '../../operations/shorthand.ts';
import { formatBench, formatBenchPlan } from '../../report/bench.ts';
import type { CacheMode } from '../../storage/files.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import {
  cacheOption,
  FILE_OPERAND,
  FORCE_SHARE,
  formatOption,
  imageOptsOption,
  QUIET,
  UNTRUSTED,
} from '../sharedOptions.ts';
import { stoppable } from '../stoppable.ts';
import { cacheValue, countValue, imageSource, INT32_MAX, mistake, oneFile, sizeValue } from '../values.ts';

const syntax: CommandSyntax = {
  name: 'bench',
  summary: 'Run a simple image benchmark',
  usage: [
    '[-f FMT | --image-opts] [-t CACHE]',
    '[-c COUNT] [-d DEPTH] [-o OFFSET] [-s BUFFER_SIZE] [-S STEP_SIZE]',
    '[-w [--pattern PATTERN] [--flush-interval INTERVAL [--no-drain]]]',
    '[-i AIO] [-n] [-U] [-q] FILE',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    cacheOption('t', 'FILE'),
    { id: 'count', short: 'c', long: 'count', argument: 'COUNT', help: ['requests to send (default: 75000)'] },
    { id: 'depth', short: 'd', long: 'depth', argument: 'DEPTH', help: ['requests at a time (default: 64)'] },
    {
      id: 'offset',
      short: 'o',
      long: 'offset',
      argument: 'OFFSET',
      help: ['where the first request starts (default: 0)'],
    },
    {
      id: 'buffer-size',
      short: 's',
      long: 'buffer-size',
      argument: 'BUFFER_SIZE[bkKMGTPE]',
      help: ['bytes in a request, with a suffix for powers of 1024 (default: 4K)'],
    },
    {
      id: 'step-size',
      short: 'S',
      long: 'step-size',
      argument: 'STEP_SIZE[bkKMGTPE]',
      help: ['bytes from one request to the next (default: BUFFER_SIZE)'],
    },
    { id: 'write', short: 'w', long: 'write', help: ['write instead of reading'] },
    { id: 'pattern', long: 'pattern', argument: 'PATTERN', help: ['byte to write (default: 0)'] },
    {
      id: 'flush-interval',
      long: 'flush-interval',
      argument: 'INTERVAL',
      help: ['flush after so many requests (default: never)'],
    },
    { id: 'no-drain', long: 'no-drain', help: ['flush without waiting for the requests under way'] },
    {
      id: 'aio',
      short: 'i',
      long: 'aio',
      argument: 'AIO',
      help: ['how to send requests: threads, native or io_uring'],
    },
    { id: 'native', short: 'n', long: 'native', help: ['the same as -i native'] },
    FORCE_SHARE,
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

function cacheMode(text: string): CacheMode | undefined {
  try {
    return cacheValue(text);
  } catch (thrown) {
    throw thrown instanceof BlockError ? thrown.reworded('Invalid cache mode') : thrown;
  }
}

function aioValue(text: string): BenchRequest['aio'] {
  if (text === 'threads' || text === 'native' || text === 'io_uring') return text;
  throw mistake(`Invalid aio option: ${text}`);
}

/** Times requests; `-q` changes nothing. */
const execute: Executor<'bench'> = async ({ bench }, request, { context, out }) => {
  const onStart = (plan: BenchPlan): void => out(formatBenchPlan(plan));
  const result = await stoppable(context, (inner) => bench(inner, request, { onStart }));
  out(formatBench(result));
  return 0;
};

/** `bench`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  let aio: BenchRequest['aio'];
  const given = await session.read(args, {
    cache: cacheMode,
    count: (text) => countValue('request count', text, 1n, INT32_MAX),
    depth: (text) => countValue('queue depth', text, 1n, INT32_MAX),
    offset: (text) => sizeValue('offset', text),
    'buffer-size': (text) => sizeValue('buffer size', text, 1n, INT32_MAX),
    'step-size': (text) => sizeValue('step size', text, 0n, INT32_MAX),
    pattern: (text) => countValue('pattern byte', text, 0n, 255n),
    'flush-interval': (text) => countValue('flush interval', text, 0n, INT32_MAX),
    aio: (text) => (aio = aioValue(text)),
    native: () => (aio = 'native'),
  });
  const filename = oneFile(given);
  const write = given.has('write');
  const { cache, count, depth = BENCH_DEPTH, offset, pattern, 'flush-interval': flushInterval = 0 } = given.values;
  if (!write && flushInterval !== 0) throw mistake('--flush-interval is only available in write tests');
  if (flushInterval !== 0 && flushInterval < depth) throw mistake("Flush interval can't be smaller than depth");
  const request = {
    image: imageSource(session, given, filename),
    cache,
    count,
    depth,
    offset,
    bufferSize: given.values['buffer-size'],
    stepSize: given.values['step-size'],
    write,
    pattern,
    flushInterval,
    drainOnFlush: !given.has('no-drain'),
    aio,
    forceShare: given.has('force-share'),
  };
  session.endsAbruptly = true;
  return session.execute('bench', request, execute, { quiet: given.has('quiet') });
});
