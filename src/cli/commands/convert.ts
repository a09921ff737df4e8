/** `qemu-img convert`. */
import { BlockError } from '../../base/error.ts';
import type { OperationContext } from '../../operations/context.ts';
import type { ConvertRequest, ImageInput, ReflinkMode } from '../../operations/requests.ts';
import { imageName } from '../../operations/shorthand.ts';
import { PIPE_NAME } from '../../options/filename.ts';
import { asksForHelp, parseImageOptions, parseOptionList } from '../../options/keyval.ts';
import { type Command, defineCommand, type Executor, type Given, type Session } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { hasAdvice, programHint } from '../hints.ts';
import { showOptions } from '../optionHelp.ts';
import { FORCE_SHARE, imageOptsOption, PROGRESS, QUIET, RATE_LIMIT, UNTRUSTED } from '../sharedOptions.ts';
import { stoppable } from '../stoppable.ts';
import { cacheValue, countValue, imageSource, mistake, OptionLists, sizeValue, snapshotValue } from '../values.ts';

const syntax: CommandSyntax = {
  name: 'convert',
  summary: 'Copy one or more images to another with optional format conversion',
  usage: [
    '[-f SRC_FMT | --image-opts] [-T SRC_CACHE]',
    '[-l SNAPSHOT] [--bitmaps [--skip-broken-bitmaps]] [--salvage]',
    '[-O TGT_FMT | --target-image-opts] [-o TGT_FMT_OPTS] [-t TGT_CACHE]',
    '[-b BACKING_FILE [-F BACKING_FMT]] [-S SPARSE_SIZE]',
    '[-n] [--target-is-zero] [-c]',
    '[-U] [-r RATE] [-m NUM_PARALLEL] [-W] [-C] [-p] [-q] [--object OBJDEF]',
    'SRC_FILE [SRC_FILE2...] TGT_FILE',
  ],
  options: [
    HELP_OPTION,
    {
      id: 'source-format',
      short: 'f',
      long: 'source-format',
      argument: 'SRC_FMT',
      help: ['format of every SRC_FILE (default: found by looking at it)'],
    },
    imageOptsOption('every SRC_FILE'),
    {
      id: 'source-cache',
      short: 'T',
      long: 'source-cache',
      argument: 'SRC_CACHE',
      help: ['cache mode for every SRC_FILE (default: writeback)'],
    },
    { id: 'snapshot', short: 'l', long: 'snapshot', argument: 'SNAPSHOT', help: ['copy this snapshot of SRC_FILE'] },
    { id: 'bitmaps', long: 'bitmaps', help: ['copy the persistent bitmaps of the source too'] },
    {
      id: 'skip-broken-bitmaps',
      long: 'skip-broken-bitmaps',
      help: ['leave out bitmaps that are damaged, instead of failing'],
    },
    { id: 'salvage', long: 'salvage', help: ['go on after read errors; what cannot be read becomes zeroes'] },
    {
      id: 'target-format',
      short: 'O',
      long: 'target-format',
      argument: 'TGT_FMT',
      help: ['format of TGT_FILE (default: raw)'],
    },
    {
      id: 'target-image-opts',
      long: 'target-image-opts',
      help: ['take TGT_FILE as a description (key=value,..) instead of a file name', '(not together with -O)'],
    },
    {
      id: 'options',
      short: 'o',
      long: 'target-format-options',
      argument: 'TGT_FMT_OPTS',
      help: ["options of the target's format ('-o help' lists them)"],
    },
    {
      id: 'target-cache',
      short: 't',
      long: 'target-cache',
      argument: 'TGT_CACHE',
      help: ['cache mode for TGT_FILE (default: unsafe)'],
    },
    {
      id: 'backing',
      short: 'b',
      long: 'backing',
      argument: 'BACKING_FILE',
      note: '(formerly -B)',
      help: ['make the target an overlay of BACKING_FILE'],
    },
    { id: 'backing', short: 'B', argument: 'BACKING_FILE' },
    {
      id: 'backing-format',
      short: 'F',
      long: 'backing-format',
      argument: 'BACKING_FMT',
      help: ['format of BACKING_FILE (default: found by looking at it)'],
    },
    {
      id: 'sparse-size',
      short: 'S',
      long: 'sparse-size',
      argument: 'SPARSE_SIZE[bkKMGTPE]',
      help: ['leave out runs of at least so many zero bytes (a multiple of 512;', '0: write all zeroes; default: 4k)'],
    },
    { id: 'no-create', short: 'n', long: 'no-create', help: ['write into an existing target'] },
    {
      id: 'atomic',
      long: 'atomic',
      exact: true,
      own: 'a TGT_FILE that is there keeps its content until the new image is complete and takes its place',
    },
    {
      id: 'durable',
      long: 'durable',
      exact: true,
      own: 'the target is on the medium when the command ends: data first, then the name',
    },
    {
      id: 'reflink',
      long: 'reflink',
      exact: true,
      argument: 'WHEN',
      own: 'auto, always or never, TGT_FILE shares its blocks with the SRC_FILEs where the file system can (default: auto; never\n  under the name qemu-img)',
    },
    {
      id: 'spool-limit',
      long: 'spool-limit',
      exact: true,
      argument: 'SIZE[bkKMGTPE]',
      own: 'what temporary files may hold, where a pipe or an archive needs one (default: 64G)',
    },
    { id: 'target-is-zero', long: 'target-is-zero', help: ['the target reads as zeroes already'] },
    // The real tool documents --compress but does not know it; here it works.
    { id: 'compress', short: 'c', long: 'compress', exact: true, help: ['write compressed data, if the format can'] },
    FORCE_SHARE,
    RATE_LIMIT,
    {
      id: 'parallel',
      short: 'm',
      long: 'parallel',
      argument: 'NUM_PARALLEL',
      help: ['most pieces under way at a time, 1 to 16', '(default: as many as pay, 16 where that is slow)'],
    },
    { id: 'out-of-order', short: 'W', long: 'oob-writes', help: ['write in any order, which may be faster'] },
    {
      id: 'copy-range',
      short: 'C',
      long: 'copy-range-offloading',
      help: ['let the storage copy by itself, where it can'],
    },
    PROGRESS,
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [
    { name: 'SRC_FILE...', help: ['the images to copy, one behind the other', '(descriptions with --image-opts)'] },
    { name: 'TGT_FILE', help: ['the image to write (a description with --target-image-opts)'] },
  ],
};

/** Largest `-S` in bytes. */
const MAX_SPARSE_SIZE = 16777216;

function sparseValue(text: string): number {
  const size = sizeValue('buffer size for sparse output', text);
  if (size % 512 === 0 && size <= MAX_SPARSE_SIZE) return size;
  throw mistake(
    'Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to ' +
      `${MAX_SPARSE_SIZE}. Select 0 to disable sparse detection (fully allocates output).`,
  );
}

function reflinkValue(text: string): ReflinkMode {
  if (text === 'auto' || text === 'always' || text === 'never') return text;
  throw mistake(`Invalid reflink mode '${text}': auto, always or never is expected`);
}

/** Options that exclude each other, in the order in which the real tool notices. */
function checkConflicts(given: Given): void {
  if (given.has('skip-broken-bitmaps') && !given.has('bitmaps')) {
    throw mistake('Use of --skip-broken-bitmaps requires --bitmaps');
  }
  if (given.has('copy-range')) {
    if (given.has('compress')) throw mistake('Cannot enable copy offloading when -c is used');
    if (given.has('sparse-size')) throw mistake('Cannot enable copy offloading when -S is used');
    if (given.has('salvage')) throw mistake('Cannot use copy offloading in salvaging mode');
  }
  if (given.text('reflink') === 'always') {
    const other = ['compress', 'sparse-size', 'salvage', 'copy-range'].find((id) => given.has(id));
    if (other !== undefined) throw mistake(`--reflink=always and --${other} are mutually exclusive`);
  }
  if (given.has('atomic') && given.has('no-create')) throw mistake('--atomic and -n are mutually exclusive');
  if (!given.has('no-create')) {
    if (given.has('target-image-opts')) throw mistake('--target-image-opts requires use of -n flag');
    if (given.has('target-is-zero')) throw mistake('--target-is-zero requires use of -n flag');
  } else if (given.has('options')) {
    throw mistake('-o has no effect when skipping image creation');
  }
}

/** Describes the target; a format is refused beside a description. */
function convertTarget(session: Session, given: Given, filename: string): ImageInput {
  const format = given.text('target-format');
  if (!given.has('target-image-opts')) return { filename, format };
  if (format !== undefined) throw mistake('--image-opts and --format are mutually exclusive');
  return { options: parseImageOptions(filename, session.warn), name: filename };
}

/** What shells make of SIGPIPE. */
const BROKEN_PIPE = 141;

function isPipeTarget(request: ConvertRequest, { services }: OperationContext): boolean {
  return services.pipes !== undefined && imageName(request.target) === PIPE_NAME;
}

/** Copies images; prints nothing. */
const execute: Executor<'convert'> = async ({ convert }, request, { context, view, err }) => {
  const observer = view.quiet ? {} : { unreadable: (text: string) => view.warn(text) };
  try {
    await stoppable(context, (inner) => convert(inner, request, observer));
  } catch (thrown) {
    if (!(thrown instanceof BlockError)) throw thrown;
    // Whoever reads has enough; others end by a signal then, and say nothing.
    if (isPipeTarget(request, context) && thrown.code === 'EPIPE') return BROKEN_PIPE;
    if (!hasAdvice(thrown, 'zero-target')) throw thrown;
    // Said, but not counted as a failure by the real tool.
    err(`qemu-img: ${programHint({ about: 'zero-target' })}\n`);
  }
  return 0;
};

/** `convert`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const lists = new OptionLists();
  const given = await session.read(args, {
    snapshot: (text) => snapshotValue(session, text),
    options: (text) => lists.add(text),
    'sparse-size': sparseValue,
    reflink: reflinkValue,
    'spool-limit': (text) => sizeValue('spool limit', text),
    'rate-limit': (text) => sizeValue('rate limit', text),
    parallel: (text) => countValue('number of coroutines', text, 1n, 16n),
  });
  checkConflicts(given);
  const { operands } = given;
  const options = lists.text ?? '';
  const targetName = operands.length < 2 ? undefined : operands[operands.length - 1];
  if (asksForHelp(options)) {
    return showOptions(session, { purpose: 'create', format: given.text('target-format'), filename: targetName });
  }
  if (targetName === undefined) throw mistake('Must specify image file name');
  const sourceCache = cacheValue(given.text('source-cache'), 'source cache');
  const quiet = given.has('quiet');
  const isOut = targetName === PIPE_NAME && !session.io.compatible;
  session.progress(given.has('progress') && !quiet && !isOut).start();
  const request = {
    source: operands.slice(0, -1).map((name) => imageSource(session, given, name, 'source-format')),
    target: convertTarget(session, given, targetName),
    options: parseOptionList(options),
    backing: { filename: given.text('backing'), format: given.text('backing-format') },
    snapshot: given.values.snapshot,
    compress: given.has('compress'),
    noCreate: given.has('no-create'),
    atomic: given.has('atomic'),
    durable: given.has('durable'),
    targetIsZero: given.has('target-is-zero'),
    sparseSize: given.values['sparse-size'],
    bitmaps: given.has('bitmaps'),
    skipBrokenBitmaps: given.has('skip-broken-bitmaps'),
    salvage: given.has('salvage'),
    rateLimit: given.values['rate-limit'],
    parallel: given.values.parallel,
    outOfOrder: given.has('out-of-order'),
    copyRange: given.has('copy-range'),
    reflink: given.values.reflink ?? (session.io.compatible ? 'never' : 'auto'),
    sourceCache,
    targetCache: cacheValue(given.text('target-cache')),
    forceShare: given.has('force-share'),
  };
  return session.execute('convert', request, execute, { quiet, spoolLimit: given.values['spool-limit'] });
});
