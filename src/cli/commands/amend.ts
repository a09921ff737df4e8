/** `qemu-img amend`. */
import { asksForHelp, parseOptionList } from '../../options/keyval.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { showOptions } from '../optionHelp.ts';
import { cacheValue, imageSource, mistake, OptionLists } from '../values.ts';
import {
  cacheOption,
  FILE_OPERAND,
  formatOption,
  imageOptsOption,
  PROGRESS,
  QUIET,
  UNTRUSTED,
} from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'amend',
  summary: 'Update format-specific options of the image',
  usage: ['-o FMT_OPTS [-f FMT | --image-opts]', '[-t CACHE] [--force] [-p] [-q] [--object OBJDEF] FILE'],
  options: [
    HELP_OPTION,
    {
      id: 'options',
      short: 'o',
      long: 'options',
      argument: 'FMT_OPTS',
      help: ["the options to change ('-o help' lists them); required"],
    },
    formatOption('FILE'),
    imageOptsOption('FILE'),
    cacheOption('t', 'FILE'),
    { id: 'force', long: 'force', help: ['allow changes that may lose data, such as erasing the last key'] },
    PROGRESS,
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Changes options of an image; prints nothing. */
const execute: Executor<'amend'> = async ({ amend }, request, { context, view }) => {
  const onProgress = (done: number, total: number): void => view.progress.update(done, total);
  await amend({ ...context, onProgress }, request, { started: () => view.progress.start() });
  return 0;
};

/** `amend`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const lists = new OptionLists();
  const given = await session.read(args, { options: (value) => lists.add(value) });
  const list = lists.text;
  if (list === undefined) throw new UsageError('Must specify options (-o)');
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet).open();
  const format = given.text('format');
  const help = asksForHelp(list);
  if (help && format !== undefined) return showOptions(session, { purpose: 'amend', format });
  const [filename] = given.operands;
  if (filename === undefined || given.operands.length !== 1) throw mistake('Expecting one image file name');
  const cache = cacheValue(given.text('cache'));
  const image = imageSource(session, given, filename);
  if (help) return showOptions(session, { purpose: 'amend', image });
  const request = { image, options: parseOptionList(list), force: given.has('force'), cache };
  return session.execute('amend', request, execute, { quiet });
});
