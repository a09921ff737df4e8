/** `qemu-img measure`. */
import { parseOptionList } from '../../options/keyval.ts';
import { formatMeasure, formatMeasureJson } from '../../report/measure.ts';
import { type Command, defineCommand, type Executor, type Given } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, mistake, OptionLists, outputValue, guestSizeValue, snapshotValue } from '../values.ts';
import { FORCE_SHARE, formatOption, imageOptsOption, OUTPUT, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'measure',
  summary: 'Calculate the file size required for a new image',
  usage: [
    '[-f FMT | --image-opts] [-l SNAPSHOT]',
    '[-O TARGET_FMT] [-o TARGET_FMT_OPTS] [--output human|json]',
    '[--object OBJDEF] (--size SIZE | FILE)',
  ],
  options: [
    HELP_OPTION,
    { id: 'format', long: 'source-format', argument: 'FMT' },
    formatOption('FILE'),
    imageOptsOption('FILE'),
    { id: 'image-opts', long: 'source-image-opts' },
    { id: 'snapshot', short: 'l', long: 'snapshot', argument: 'SNAPSHOT', help: ['measure this snapshot of FILE'] },
    {
      id: 'target-format',
      short: 'O',
      long: 'target-format',
      argument: 'TARGET_FMT',
      help: ['format of the new image (default: raw)'],
    },
    { id: 'options', long: 'target-format-options', argument: 'TARGET_FMT_OPTS' },
    { id: 'options', short: 'o', argument: 'TARGET_FMT_OPTS', help: ['options of the new format'] },
    { id: 'options', long: 'options', argument: 'TARGET_FMT_OPTS' },
    FORCE_SHARE,
    OUTPUT,
    OBJECT_OPTION,
    UNTRUSTED,
    {
      id: 'size',
      short: 's',
      long: 'size',
      argument: 'SIZE[bKMGTPE]',
      help: ['measure an empty disk of this size, with a suffix for powers of 1024'],
    },
  ],
  operands: [{ name: 'FILE', help: ['the image that would be converted: a file name, or a description'] }],
};

/** Computes how large a new image will be. */
const execute: Executor<'measure'> = async ({ measure }, request, { context, view, out }) => {
  const result = await measure(context, request);
  out(view.json ? formatMeasureJson(result) : formatMeasure(result));
  return 0;
};

/** What has to be there and what excludes each other, in the order in which the real tool notices. */
function checkConflicts(given: Given): void {
  const sized = given.has('size');
  const [filename, second] = given.operands;
  if (second !== undefined) throw mistake('At most one filename argument is allowed.');
  if (filename === undefined && (given.has('format') || given.has('image-opts') || given.has('snapshot'))) {
    throw mistake('--image-opts, -f, and -l require a filename argument.');
  }
  if (filename !== undefined && sized) throw mistake('--size N cannot be used together with a filename.');
  if (filename === undefined && !sized) throw mistake('Either --size N or one filename must be specified.');
}

/** `measure`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const lists = new OptionLists();
  const given = await session.read(args, {
    snapshot: (text) => snapshotValue(session, text),
    options: (text) => lists.add(text),
    output: outputValue,
    size: (text) => guestSizeValue('image size', text),
  });
  checkConflicts(given);
  const { snapshot, output: json, size } = given.values;
  const [filename] = given.operands;
  const request = {
    image: filename === undefined ? undefined : imageSource(session, given, filename),
    size,
    format: given.text('target-format'),
    options: parseOptionList(lists.text ?? ''),
    snapshot,
    forceShare: given.has('force-share'),
  };
  return session.execute('measure', request, execute, { json });
});
