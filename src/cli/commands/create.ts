/** `qemu-img create`. */
import { asksForHelp, parseOptionList } from '../../options/keyval.ts';
import { formatCreate } from '../../report/create.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { showOptions } from '../optionHelp.ts';
import { OptionLists, sizeValue } from '../values.ts';
import { QUIET } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'create',
  summary: 'Create and format a new image file',
  usage: ['[-f FMT] [-o FMT_OPTS]', '[-b BACKING_FILE [-B BACKING_FMT]] [-u]', '[-q] [--object OBJDEF] FILE [SIZE]'],
  options: [
    HELP_OPTION,
    { id: 'format', short: 'f', long: 'format', argument: 'FMT', help: ['format of the new image (default: raw)'] },
    {
      id: 'options',
      short: 'o',
      long: 'options',
      argument: 'FMT_OPTS',
      help: ["options of the format ('-o help' lists them)"],
    },
    {
      id: 'backing',
      short: 'b',
      long: 'backing',
      argument: 'BACKING_FILE',
      help: ['make the image an overlay of BACKING_FILE'],
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
      id: 'backing-unsafe',
      short: 'u',
      long: 'backing-unsafe',
      help: ['do not open BACKING_FILE, so that it may be missing'],
    },
    QUIET,
    OBJECT_OPTION,
  ],
  operands: [
    { name: 'FILE', help: ['the image to create; what was there before is lost'] },
    {
      name: 'SIZE[bKMGTPE]',
      help: ['size of the disk, with a suffix for powers of 1024', '(optional if there is a BACKING_FILE)'],
    },
  ],
};

/** Creates an image, after saying so. */
const execute: Executor<'create'> = async ({ create }, request, { context, view, out }) => {
  await create(context, request, (plan) => {
    if (!view.quiet) out(formatCreate(plan));
  });
  return 0;
};

/** `create`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const lists = new OptionLists();
  const given = await session.read(args, { options: (value) => lists.add(value) });
  const [filename, sizeText, extra] = given.operands;
  const list = lists.text ?? '';
  const format = given.text('format');
  if (asksForHelp(list)) return showOptions(session, { purpose: 'create', format, filename });
  if (filename === undefined) throw new UsageError('Expecting image file name');
  const size = sizeText === undefined ? undefined : sizeValue('image size', sizeText);
  if (extra !== undefined) throw new UsageError(`Unexpected argument: ${extra}`);
  const backing = {
    filename: given.text('backing'),
    format: given.text('backing-format'),
    unsafe: given.has('backing-unsafe'),
  };
  const request = { filename, format, options: parseOptionList(list), size, backing };
  return session.execute('create', request, execute, { quiet: given.has('quiet') });
});
