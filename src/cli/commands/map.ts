/** `qemu-img map`. */
import { type Command, defineCommand } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, oneFile, optional, outputValue, sizeValue } from '../values.ts';
import { FILE_OPERAND, FORCE_SHARE, formatOption, imageOptsOption, OUTPUT } from './common.ts';

const syntax: CommandSyntax = {
  name: 'map',
  summary: 'Dump image metadata',
  usage: [
    '[-f FMT | --image-opts]',
    '[--start-offset OFFSET] [--max-length LENGTH]',
    '[--output human|json] [-U] [--object OBJDEF] FILE',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    {
      id: 'start-offset',
      short: 's',
      long: 'start-offset',
      value: true,
      argument: 'OFFSET',
      help: ['first byte of the disk to look at (default: 0)'],
    },
    {
      id: 'max-length',
      short: 'l',
      long: 'max-length',
      value: true,
      argument: 'LENGTH',
      help: ['bytes to look at (default: up to the end)'],
    },
    FORCE_SHARE,
    OUTPUT,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Lists what is allocated where. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  let startOffset = 0;
  let maxLength: number | undefined;
  let json = false;
  const given = await session.read(args, {
    'start-offset': (value) => {
      startOffset = sizeValue('start offset', value);
    },
    'max-length': (value) => {
      maxLength = sizeValue('max length', value);
    },
    output: (value) => {
      json = outputValue(value);
    },
  });
  const image = imageSource(session, given, oneFile(given));
  const forceShare = given.has('force-share');
  return session.execute('map', { image, startOffset, ...optional('maxLength', maxLength), forceShare }, { json });
});
