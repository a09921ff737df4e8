/** `qemu-img bitmap`. */
import type { BitmapAction } from '../../operations/requests.ts';
import { type Command, defineCommand, type Executor, type Given } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, mistake, sizeValue } from '../values.ts';
import { FILE_OPERAND, formatOption, imageOptsOption, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'bitmap',
  summary: 'Perform modifications of the persistent bitmap in the image',
  usage: [
    '[-f FMT | --image-opts]',
    '( --add [-g SIZE] | --remove | --remove-all | --clear | --enable |',
    '  --disable | --merge SOURCE [-b SRC_FILE [-F SRC_FMT]] )..',
    '[--object OBJDEF] FILE [BITMAP]',
  ],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    { id: 'add', long: 'add', help: ['create BITMAP; it records writes from then on'] },
    {
      id: 'granularity',
      short: 'g',
      long: 'granularity',
      argument: 'SIZE[bKMGTPE]',
      help: ['with --add: bytes that one bit stands for, with a suffix for powers of 1024'],
    },
    { id: 'remove', long: 'remove', help: ['remove BITMAP'] },
    { id: 'remove-all', long: 'remove-all', help: ['remove all bitmaps'] },
    { id: 'clear', long: 'clear', help: ['mark everything in BITMAP as clean'] },
    { id: 'enable', long: 'enable', help: ['let BITMAP record writes'] },
    { id: 'disable', long: 'disable', help: ['let BITMAP no longer record writes'] },
    { id: 'merge', long: 'merge', argument: 'SOURCE', help: ['mark in BITMAP what is dirty in the bitmap SOURCE'] },
    {
      id: 'source-file',
      short: 'b',
      long: 'source-file',
      argument: 'SRC_FILE',
      help: ['with --merge: the image that has SOURCE (default: FILE)'],
    },
    {
      id: 'source-format',
      short: 'F',
      long: 'source-format',
      argument: 'SRC_FMT',
      help: ['format of SRC_FILE (default: found by looking at it)'],
    },
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND, { name: 'BITMAP', help: ['name of the bitmap'] }],
};

const SIMPLE = ['add', 'remove', 'remove-all', 'clear', 'enable', 'disable'] as const;

/** What belongs together, in the order in which the real tool notices. */
function checkActions(given: Given, actions: readonly BitmapAction[]): void {
  if (actions.length === 0) {
    throw mistake('Need at least one of --add, --remove, --remove-all, --clear, --enable, --disable, or --merge');
  }
  if (given.has('granularity') && !given.has('add')) throw mistake('granularity only supported with --add');
  if (given.has('source-file') && !given.has('merge')) {
    throw mistake('Merge bitmap source file only supported with --merge');
  }
  if (given.has('source-format') && !given.has('source-file')) throw mistake('-F only supported with -b');
}

/** Changes persistent bitmaps; prints nothing. */
const execute: Executor<'bitmap'> = async ({ bitmap }, request, { context }) => {
  await bitmap(context, request);
  return 0;
};

/** `bitmap`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const actions: BitmapAction[] = [];
  const simple = SIMPLE.map((kind) => [kind, () => actions.push({ kind })] as const);
  const given = await session.read(args, {
    ...Object.fromEntries(simple),
    granularity: (text: string) => sizeValue('granularity', text),
    merge: (source: string) => actions.push({ kind: 'merge', source }),
  });
  checkActions(given, actions);
  const [filename, bitmap, extra] = given.operands;
  const needsName = actions.some((action) => action.kind !== 'remove-all');
  if (needsName && (bitmap === undefined || extra !== undefined)) {
    throw mistake('Expecting filename and bitmap name');
  }
  if (filename === undefined || (!needsName && bitmap !== undefined)) throw mistake('Expecting filename');
  const image = imageSource(session, given, filename);
  const sourceFile = given.text('source-file');
  const source = sourceFile === undefined ? undefined : { filename: sourceFile, format: given.text('source-format') };
  return session.execute('bitmap', { image, bitmap, actions, granularity: given.values.granularity, source }, execute);
});
