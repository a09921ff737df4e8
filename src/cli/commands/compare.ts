/** `qemu-img compare`. */
import { BlockError } from '../../base/error.ts';
import type { CompareResult } from '../../operations/compare.ts';
import { compareExitCode, compareFailureCode, formatCompare, SIZES_DIFFER } from '../../report/compare.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { errorLines } from '../hints.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { cacheValue, imageSource } from '../values.ts';
import { cacheOption, FORCE_SHARE, imageOptsOption, PROGRESS, QUIET, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'compare',
  summary: 'Check if two images have the same contents',
  usage: ['[[-f FMT] [-F FMT] | --image-opts] [-s] [-T CACHE]', '[-U] [-p] [-q] [--object OBJDEF] FILE1 FILE2'],
  options: [
    HELP_OPTION,
    {
      id: 'a-format',
      short: 'f',
      long: 'a-format',
      argument: 'FMT',
      help: ['format of FILE1 (default: found by looking at it)'],
    },
    {
      id: 'b-format',
      short: 'F',
      long: 'b-format',
      argument: 'FMT',
      help: ['format of FILE2 (default: found by looking at it)'],
    },
    imageOptsOption('FILE1 and FILE2', 'the formats'),
    { id: 'strict', short: 's', long: 'strict', help: ['sizes have to be equal too'] },
    cacheOption('T', 'both images'),
    FORCE_SHARE,
    PROGRESS,
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [{ name: 'FILE1, FILE2', help: ['the images: file names, or with --image-opts descriptions'] }],
};

/** Percentage points between two lines of progress. */
const LINE_STEP = 2;
/** Exit code of failures; 1 means that the images differ. */
const FAILED = 2;

/** Compares two images. */
const execute: Executor<'compare'> = async ({ compare }, request, { context, view, out, err }) => {
  let result: CompareResult;
  let before = 0;
  const onProgress = (done: number, total: number): void => {
    if (done === 0) view.progress.start();
    // The real tool adds up shares.
    else view.progress.add(((done - before) / total) * 100);
    before = done;
  };
  try {
    result = await compare({ ...context, onProgress }, request, {
      sizesDiffer() {
        if (!view.quiet) out(SIZES_DIFFER);
      },
    });
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || compareFailureCode(thrown) === FAILED) throw thrown;
    err(errorLines(thrown));
    return compareFailureCode(thrown);
  }
  if (!view.quiet) out(formatCompare(result));
  return compareExitCode(result);
};

/** `compare`: exit codes 1 to 4. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, {});
  const [firstName, secondName] = given.operands;
  if (firstName === undefined || secondName === undefined || given.operands.length !== 2) {
    throw new UsageError('Expecting two image file names');
  }
  session.failureCode = FAILED;
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet, LINE_STEP).open();
  const cache = cacheValue(given.text('cache'), 'source cache');
  const request = {
    first: imageSource(session, given, firstName, 'a-format'),
    second: imageSource(session, given, secondName, 'b-format'),
    strict: given.has('strict'),
    cache,
    forceShare: given.has('force-share'),
  };
  return session.execute('compare', request, execute, { quiet });
});
