/** `qemu-img rebase`. */
import { type Command, defineCommand, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { cacheValue, imageSource, oneFile, optional } from '../values.ts';
import { cacheOption, FILE_OPERAND, FORCE_SHARE, formatOption, imageOptsOption, PROGRESS, QUIET } from './common.ts';

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
      value: true,
      argument: 'BACKING_FILE|""',
      help: ['the new backing file; an empty name for none'],
    },
    {
      id: 'backing-format',
      short: 'B',
      long: 'backing-format',
      value: true,
      argument: 'BACKING_FMT',
      note: '(formerly -F)',
      help: ['format of BACKING_FILE (default: found by looking at it)'],
    },
    { id: 'backing-format', short: 'F', value: true },
    {
      id: 'backing-cache',
      short: 'T',
      long: 'backing-cache',
      value: true,
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

/** Gives an image another backing file. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args);
  const filename = oneFile(given);
  const backingFile = given.text('backing');
  const backingUnsafe = given.has('backing-unsafe');
  if (backingFile === undefined && !backingUnsafe) {
    throw new UsageError('Must specify backing file (-b) or use unsafe mode (-u)');
  }
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet, LINE_STEP).start();
  const cache = cacheValue(given.text('cache'));
  const backingCache = cacheValue(given.text('backing-cache'), 'source cache');
  const request = {
    image: imageSource(session, given, filename),
    backingFile: backingFile ?? '',
    ...optional('backingFormat', given.text('backing-format')),
    backingUnsafe,
    compress: given.has('compress'),
    ...optional('cache', cache),
    ...optional('backingCache', backingCache),
    forceShare: given.has('force-share'),
    quiet,
  };
  return session.execute('rebase', request, { quiet });
});
