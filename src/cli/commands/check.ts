/** `qemu-img check`. */
import type { RepairMode } from '../../block/capabilities.ts';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { cacheValue, imageSource, oneFile, optional, outputValue } from '../values.ts';
import { cacheOption, FILE_OPERAND, FORCE_SHARE, formatOption, imageOptsOption, OUTPUT, QUIET } from './common.ts';

const syntax: CommandSyntax = {
  name: 'check',
  summary: 'Check basic image integrity',
  usage: [
    '[-f FMT | --image-opts] [-T CACHE] [-r leaks|all]',
    '[-U] [--output human|json] [-q] [--object OBJDEF] FILE',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    cacheOption('T', 'FILE'),
    {
      id: 'repair',
      short: 'r',
      long: 'repair',
      value: true,
      argument: 'leaks|all',
      help: ['repair only lost space, or all errors; the image is then opened', 'for writing (not together with -U)'],
    },
    {
      id: 'deep',
      long: 'deep',
      exact: true,
      own: 'it looks at vpc, qcow, luks, bochs, cloop and dmg too, without repairs and without a key',
    },
    FORCE_SHARE,
    OUTPUT,
    QUIET,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

function repairValue(text: string): RepairMode {
  if (text === 'leaks' || text === 'all') return text;
  throw new UsageError(`--repair (-r) expects 'leaks' or 'all', not '${text}'`);
}

/** Looks for structural damage. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  let repair: RepairMode = 'none';
  let json = false;
  const given = await session.read(args, {
    repair: (value) => {
      repair = repairValue(value);
    },
    output: (value) => {
      json = outputValue(value);
    },
  });
  const filename = oneFile(given);
  const cache = cacheValue(given.text('cache'), 'source cache');
  const image = imageSource(session, given, filename);
  const request = {
    image,
    repair,
    deep: given.has('deep'),
    ...optional('cache', cache),
    forceShare: given.has('force-share'),
  };
  return session.execute('check', request, { json, quiet: given.has('quiet') });
});
