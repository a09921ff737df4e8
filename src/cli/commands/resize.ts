/** `qemu-img resize`. */
import { parseSizeOption } from '../../options/coerce.ts';
import type { Preallocation } from '../../storage/storage.ts';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, mistake } from '../values.ts';
import { FILE_OPERAND, formatOption, imageOptsOption, QUIET } from './common.ts';

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
      value: true,
      argument: 'PREALLOC',
      help: ['how to reserve the space that is added'],
    },
    { id: 'shrink', long: 'shrink', help: ['allow a smaller size, which cuts data off'] },
    QUIET,
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
export const command: Command = defineCommand(syntax, async (session, args) => {
  let preallocation: Preallocation = 'off';
  const handlers = {
    preallocation: (value: string): void => {
      preallocation = preallocationValue(value);
    },
  };
  // `resize FILE -1M`: behind the file name, a negative number is no option.
  const given = await session.read(args, handlers, { negativeSecond: true });
  const [filename, sizeText] = given.operands;
  if (filename === undefined || sizeText === undefined) throw new UsageError('Expecting image file name and size');
  if (given.operands.length > 2) throw new UsageError('Extra argument(s) in command line');
  const relative = sizeText.startsWith('+') ? '+' : sizeText.startsWith('-') ? '-' : '';
  const size = parseSizeOption('size', sizeText.slice(relative.length));
  const quiet = given.has('quiet');
  const request = {
    image: imageSource(session, given, filename),
    size,
    relative,
    shrink: given.has('shrink'),
    preallocation,
    quiet,
  } as const;
  return session.execute('resize', request, { quiet });
});
