/** `qemu-img rebase`. */
import { STRIDE } from '../../operations/copy/strides.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { stoppable } from '../stoppable.ts';
import { cacheValue, imageSource, oneFile } from '../values.ts';
import {
  cacheOption,
  FILE_OPERAND,
  FORCE_SHARE,
  formatOption,
  imageOptsOption,
  PROGRESS,
  QUIET,
} from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'rebase',
  summary: 'Change the backing file of the image',
  usage: [
    '[-f FMT | --image-opts] [-t CACHE]',
    '[-b BACKING_FILE [-B BACKING_FMT] [-T BACKING_CACHE]] [-u]',
    '[-c] [-U] [-p] [-q] [--object OBJDEF] FILE',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    cacheOption('t', 'FILE'),
    { id: 'compress', short: 'c', long: 'compress', help: ['write compressed data, if the format can'] },
    {
      id: 'backing',
      short: 'b',
      long: 'backing',
      argument: 'BACKING_FILE|""',
      help: ['the new backing file; an empty name for none'],
    },
    {
      id: 'backing-format',
      short: 'B',
      long: 'backing-format',
      argument: 'BACKING_FMT',
      note: '(formerly -F)',
      help: ['format of BACKING_FILE (default: found by looking at it)'],
    },
    { id: 'backing-format', short: 'F', argument: 'BACKING_FMT' },
    {
      id: 'backing-cache',
      short: 'T',
      long: 'backing-cache',
      argument: 'CACHE',
      help: ['cache mode for the old and the new backing file (default: writeback)'],
    },
    {
      id: 'backing-unsafe',
      short: 'u',
      long: 'backing-unsafe',
      help: ['change only the name: no backing file is opened, no data is copied'],
    },
    FORCE_SHARE,
    PROGRESS,
    QUIET,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Percentage points between two lines of progress. */
const LINE_STEP = 2;

/** Gives an image another backing file; prints nothing. */
const execute: Executor<'rebase'> = async ({ rebase }, request, { context, view }) => {
  const observer = {
    // The real tool adds up shares, of as many areas as fit into the image.
    looked: (size: number) => view.progress.add(100 / Math.max(1, Math.floor(size / STRIDE))),
    copied: () => view.progress.update(1, 1),
  };
  // Bytes are the library's.
  await stoppable({ ...context, onProgress: () => undefined }, (inner) => rebase(inner, request, observer));
  return 0;
};

/** `rebase`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, {});
  const filename = oneFile(given);
  const backing = given.text('backing');
  const unsafe = given.has('backing-unsafe');
  if (backing === undefined && !unsafe) {
    throw new UsageError('Must specify backing file (-b) or use unsafe mode (-u)');
  }
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet, LINE_STEP).start();
  const cache = cacheValue(given.text('cache'));
  const backingCache = cacheValue(given.text('backing-cache'), 'source cache');
  const image = imageSource(session, given, filename);
  const request = {
    image,
    backing: { filename: backing ?? '', format: given.text('backing-format') },
    unsafe,
    compress: given.has('compress'),
    cache,
    backingCache,
    forceShare: given.has('force-share'),
  };
  return session.execute('rebase', request, execute, { quiet });
});
