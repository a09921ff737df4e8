/** `qemu-img resize`. */
import { BlockError } from '../../base/error.ts';
import { parseSizeOption } from '../../options/coerce.ts';
import type { Preallocation } from '../../storage/storage.ts';
import { formatResize } from '../../report/resize.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { hasAdvice, programHint } from '../hints.ts';
import { imageSource, mistake } from '../values.ts';
import { FILE_OPERAND, formatOption, imageOptsOption, QUIET, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'resize',
  summary: 'Resize the image',
  usage: [
    '[-f FMT | --image-opts] [--preallocation PREALLOC] [--shrink]',
    '[-q] [--object OBJDEF] FILE [+-]SIZE[bkKMGTPE]',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    {
      id: 'preallocation',
      long: 'preallocation',
      argument: 'PREALLOC',
      help: ['how to reserve the space that is added'],
    },
    { id: 'shrink', long: 'shrink', help: ['allow a smaller size, which cuts data off'] },
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [
    FILE_OPERAND,
    {
      name: '[+-]SIZE[bkKMGTPE]',
      help: ['the new size, or how much to add (+) or to take away (-),', 'with a suffix for powers of 1024'],
    },
  ],
};

const PREALLOCATIONS: readonly string[] = ['off', 'metadata', 'falloc', 'full'];

function preallocationValue(text: string): Preallocation {
  if (!PREALLOCATIONS.includes(text)) throw mistake(`Invalid preallocation mode '${text}'`);
  return text as Preallocation;
}

/** Changes the size. */
const execute: Executor<'resize'> = async ({ resize }, request, { context, view, out, err }) => {
  try {
    await resize(context, request);
  } catch (thrown) {
    if (!(thrown instanceof BlockError) || !hasAdvice(thrown, 'shrink')) throw thrown;
    // The advice is a warning below the error.
    err('qemu-img: Use the --shrink option to perform a shrink operation.\n');
    view.warn(programHint({ about: 'shrink' }));
    return 1;
  }
  if (!view.quiet) out(formatResize());
  return 0;
};

/** `resize`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  // `resize FILE -1M`: behind the file name, a negative number is no option.
  const given = await session.read(args, { preallocation: preallocationValue }, { negativeSecond: true });
  const [filename, size] = given.operands;
  if (filename === undefined || size === undefined) throw new UsageError('Expecting image file name and size');
  if (given.operands.length > 2) throw new UsageError('Extra argument(s) in command line');
  // Mistakes have the words of the command line here.
  parseSizeOption('size', size.replace(/^[+-]/, ''));
  const image = imageSource(session, given, filename);
  const { preallocation } = given.values;
  const request = { image, size, shrink: given.has('shrink'), preallocation };
  return session.execute('resize', request, execute, { quiet: given.has('quiet') });
});
