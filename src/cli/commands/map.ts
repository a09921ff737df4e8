/** `qemu-img map`. */
import { formatMap, formatMapJson, mapOpening } from '../../report/map.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, oneFile, outputValue, sizeValue } from '../values.ts';
import { FILE_OPERAND, FORCE_SHARE, formatOption, imageOptsOption, OUTPUT, UNTRUSTED } from '../sharedOptions.ts';

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
      argument: 'OFFSET',
      help: ['first byte of the disk to look at (default: 0)'],
    },
    {
      id: 'max-length',
      short: 'l',
      long: 'max-length',
      argument: 'LENGTH',
      help: ['bytes to look at (default: up to the end)'],
    },
    FORCE_SHARE,
    OUTPUT,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Lists what is allocated where, while it is found. */
const execute: Executor<'map'> = async ({ mapExtents }, request, { context, view, out }) => {
  const extents = mapExtents(context, request, () => out(mapOpening(view.json)));
  for await (const text of view.json ? formatMapJson(extents) : formatMap(extents)) out(text);
  return 0;
};

/** `map`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, {
    'start-offset': (text) => sizeValue('start offset', text),
    'max-length': (text) => sizeValue('max length', text),
    output: outputValue,
  });
  const { 'start-offset': start, 'max-length': length, output: json } = given.values;
  const image = imageSource(session, given, oneFile(given));
  const request = { image, start, length, forceShare: given.has('force-share') };
  return session.execute('map', request, execute, { json });
});
