/** `qemu-img measure`. */
import type { SnapshotSelector } from '../../operations/requests.ts';
import { parseOptionList } from '../../options/keyval.ts';
import { type Command, defineCommand } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, mistake, OptionLists, optional, outputValue, sectorsValue, snapshotValue } from '../values.ts';
import { FORCE_SHARE, OUTPUT } from './common.ts';

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
    { id: 'format', long: 'source-format', value: true },
    {
      id: 'format',
      short: 'f',
      long: 'format',
      value: true,
      argument: 'FMT',
      help: ['format of FILE (default: found by looking at it)'],
    },
    {
      id: 'image-opts',
      long: 'image-opts',
      help: ['take FILE as a description (key=value,..) instead of a file name', '(not together with -f)'],
    },
    { id: 'image-opts', long: 'source-image-opts' },
    {
      id: 'snapshot',
      short: 'l',
      long: 'snapshot',
      value: true,
      argument: 'SNAPSHOT',
      help: ['measure this snapshot of FILE'],
    },
    {
      id: 'target-format',
      short: 'O',
      long: 'target-format',
      value: true,
      argument: 'TARGET_FMT',
      help: ['format of the new image (default: raw)'],
    },
    { id: 'options', long: 'target-format-options', value: true },
    { id: 'options', short: 'o', value: true, argument: 'TARGET_FMT_OPTS', help: ['options of the new format'] },
    { id: 'options', long: 'options', value: true },
    FORCE_SHARE,
    OUTPUT,
    OBJECT_OPTION,
    {
      id: 'size',
      short: 's',
      long: 'size',
      value: true,
      argument: 'SIZE[bKMGTPE]',
      help: ['measure an empty disk of this size, with a suffix for powers of 1024'],
    },
  ],
  operands: [{ name: 'FILE', help: ['the image that would be converted: a file name, or a description'] }],
};

/** Computes how large a new image will be. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const lists = new OptionLists();
  let snapshot: SnapshotSelector | undefined;
  let size: number | undefined;
  let json = false;
  const given = await session.read(args, {
    snapshot: (value) => {
      snapshot = snapshotValue(session, value);
    },
    options: (value) => lists.add(value),
    output: (value) => {
      json = outputValue(value);
    },
    size: (value) => {
      size = sectorsValue('image size', value);
    },
  });
  const [filename, second] = given.operands;
  if (second !== undefined) throw mistake('At most one filename argument is allowed.');
  if (filename === undefined && (given.has('format') || given.has('image-opts') || snapshot !== undefined)) {
    throw mistake('--image-opts, -f, and -l require a filename argument.');
  }
  if (filename !== undefined && size !== undefined) {
    throw mistake('--size N cannot be used together with a filename.');
  }
  if (filename === undefined && size === undefined) {
    throw mistake('Either --size N or one filename must be specified.');
  }
  const image = filename === undefined ? undefined : imageSource(session, given, filename);
  const request = {
    ...optional('image', image),
    ...optional('size', size),
    targetFormat: given.text('target-format') ?? 'raw',
    options: parseOptionList(lists.text ?? ''),
    ...optional('snapshot', snapshot),
    forceShare: given.has('force-share'),
  };
  return session.execute('measure', request, { json });
});
