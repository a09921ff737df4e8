/** `qemu-img commit`. */
import { formatCommit } from '../../report/commit.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { stoppable } from '../stoppable.ts';
import { cacheValue, imageSource, oneFile, sizeValue } from '../values.ts';
import {
  cacheOption,
  FILE_OPERAND,
  formatOption,
  imageOptsOption,
  PROGRESS,
  QUIET,
  RATE_LIMIT,
} from '../sharedOptions.ts';

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
const execute: Executor<'commit'> = async ({ commit }, request, { context, view, out }) => {
  // The line begins when the image is open, and not when that has failed.
  const observer = { started: () => view.progress.start() };
  await stoppable(context, (inner) => commit(inner, request, observer));
  view.progress.finish();
  if (!view.quiet) out(formatCommit());
  return 0;
};

/** `commit`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, { 'rate-limit': (text) => sizeValue('rate limit', text) });
  const filename = oneFile(given);
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet);
  const cache = cacheValue(given.text('cache'));
  const image = imageSource(session, given, filename);
  const base = given.text('base');
  // Emptying the image would make the ones between it and the base wrong.
  const drop = given.has('drop') || base !== undefined;
  return session.execute('commit', { image, base, drop, cache, rateLimit: given.values['rate-limit'] }, execute, {
    quiet,
  });
});
