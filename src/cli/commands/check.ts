/** `qemu-img check`. */
import type { RepairMode } from '../../block/capabilities.ts';
import { checkError, checkExitCode, formatCheck, formatCheckJson, formatRepairs } from '../../report/check.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { programHint } from '../hints.ts';
import { cacheValue, imageSource, oneFile, outputValue } from '../values.ts';
import {
  cacheOption,
  FILE_OPERAND,
  FORCE_SHARE,
  formatOption,
  imageOptsOption,
  OUTPUT,
  QUIET,
  UNTRUSTED,
} from '../sharedOptions.ts';

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
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

function repairValue(text: string): RepairMode {
  if (text === 'leaks' || text === 'all') return text;
  throw new UsageError(`--repair (-r) expects 'leaks' or 'all', not '${text}'`);
}

/** Checks an image. Reports are for people only; errors of the check itself are always shown. */
const execute: Executor<'check'> = async ({ check }, request, { context, view, out, err }) => {
  const talk = !view.json && !view.quiet;
  const result = await check(context, request, {
    line({ severity, text, hint }) {
      err(`${severity === 'error' ? 'qemu-img: ' : ''}${text}\n${hint ? `${programHint(hint)}\n` : ''}`);
    },
    repaired(repairs) {
      if (talk) out(formatRepairs(repairs));
    },
  });
  if (result.kind !== 'unsupported' && !view.quiet) out(view.json ? formatCheckJson(result) : formatCheck(result));
  const error = checkError(result);
  if (error !== undefined) err(`qemu-img: ${error}\n`);
  return checkExitCode(result);
};

/** `check`: exit codes 1, 2, 3 and 63. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, { repair: repairValue, output: outputValue });
  const { repair, output: json } = given.values;
  const filename = oneFile(given);
  const cache = cacheValue(given.text('cache'), 'source cache');
  const image = imageSource(session, given, filename);
  const request = { image, repair, deep: given.has('deep'), cache, forceShare: given.has('force-share') };
  return session.execute('check', request, execute, { json, quiet: given.has('quiet') });
});
