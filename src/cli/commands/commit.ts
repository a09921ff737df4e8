/** `qemu-img commit`. */
import { type Command, defineCommand } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { cacheValue, imageSource, oneFile, optional, sizeValue } from '../values.ts';
import { cacheOption, FILE_OPERAND, formatOption, imageOptsOption, PROGRESS, QUIET, RATE_LIMIT } from './common.ts';

const syntax: CommandSyntax = {
  name: 'commit',
  summary: 'Commit image to its backing file',
  usage: ['[-f FMT | --image-opts] [-t CACHE] [-b BASE_IMG]', '[-d] [-r RATE] [-p] [-q] [--object OBJDEF] FILE'],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    cacheOption('t', 'FILE'),
    { id: 'drop', short: 'd', long: 'drop', help: ['leave FILE as it is, instead of emptying it'] },
    {
      id: 'base',
      short: 'b',
      long: 'base',
      value: true,
      argument: 'BASE_IMG',
      help: ['image of the backing chain to write to (default: the next one;', 'implies --drop)'],
    },
    RATE_LIMIT,
    PROGRESS,
    QUIET,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Moves an overlay's content down. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  let rateLimit: number | undefined;
  const given = await session.read(args, {
    'rate-limit': (value) => {
      rateLimit = sizeValue('rate limit', value);
    },
  });
  const filename = oneFile(given);
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet);
  const cache = cacheValue(given.text('cache'));
  const request = {
    image: imageSource(session, given, filename),
    ...optional('base', given.text('base')),
    // Emptying the image would make the ones between it and the base wrong.
    drop: given.has('drop') || given.has('base'),
    ...optional('cache', cache),
    ...optional('rateLimit', rateLimit),
    quiet,
  };
  return session.execute('commit', request, { quiet });
});
