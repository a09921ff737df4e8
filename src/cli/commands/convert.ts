/** `qemu-img convert`. */
import type { ConvertTarget, SnapshotSelector } from '../../operations/requests.ts';
import { asksForHelp, parseImageOptions, parseOptionList } from '../../options/keyval.ts';
import { type Command, defineCommand, type Given, type Session } from '../command.ts';
import {
  cacheValue,
  countValue,
  imageSource,
  mistake,
  OptionLists,
  optional,
  sizeValue,
  snapshotValue,
} from '../values.ts';
import { syntax } from './convertSyntax.ts';

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

/** Values that are checked as they come. */
interface Checked {
  readonly lists: OptionLists;
  snapshot?: SnapshotSelector;
  sparseSize?: number;
  rateLimit?: number;
  parallel?: number;
}

/** Options that exclude each other, in the order in which the real tool notices. */
function checkConflicts(given: Given, { lists, sparseSize }: Checked): void {
  if (given.has('skip-broken-bitmaps') && !given.has('bitmaps')) {
    throw mistake('Use of --skip-broken-bitmaps requires --bitmaps');
  }
  if (given.has('copy-range')) {
    if (given.has('compress')) throw mistake('Cannot enable copy offloading when -c is used');
    if (sparseSize !== undefined) throw mistake('Cannot enable copy offloading when -S is used');
    if (given.has('salvage')) throw mistake('Cannot use copy offloading in salvaging mode');
  }
  if (given.has('atomic') && given.has('no-create')) throw mistake('--atomic and -n are mutually exclusive');
  if (!given.has('no-create')) {
    if (given.has('target-image-opts')) throw mistake('--target-image-opts requires use of -n flag');
    if (given.has('target-is-zero')) throw mistake('--target-is-zero requires use of -n flag');
  } else if (lists.text !== undefined) {
    throw mistake('-o has no effect when skipping image creation');
  }
}

async function readArguments(session: Session, args: readonly string[]): Promise<{ given: Given; checked: Checked }> {
  const checked: Checked = { lists: new OptionLists() };
  const given = await session.read(args, {
    snapshot: (value) => {
      checked.snapshot = snapshotValue(session, value);
    },
    options: (value) => checked.lists.add(value),
    'sparse-size': (value) => {
      checked.sparseSize = sparseValue(value);
    },
    'rate-limit': (value) => {
      checked.rateLimit = sizeValue('rate limit', value);
    },
    parallel: (value) => {
      checked.parallel = countValue('number of coroutines', value, 1n, 16n);
    },
  });
  return { given, checked };
}

/** Describes the target; a format is refused beside a description. */
function convertTarget(session: Session, given: Given, filename: string): ConvertTarget {
  const format = given.text('target-format');
  if (!given.has('target-image-opts')) return { filename, format: format ?? 'raw' };
  if (format !== undefined) throw mistake('--image-opts and --format are mutually exclusive');
  return { filename, imageOptions: parseImageOptions(filename, session.warn) };
}

/** Everything but the images. */
function settings(given: Given, { lists, snapshot, sparseSize, rateLimit, parallel }: Checked) {
  return {
    options: parseOptionList(lists.text ?? ''),
    ...optional('snapshot', snapshot),
    ...optional('backingFile', given.text('backing')),
    ...optional('backingFormat', given.text('backing-format')),
    ...optional('sparseSize', sparseSize),
    noCreate: given.has('no-create'),
    atomic: given.has('atomic'),
    targetIsZero: given.has('target-is-zero'),
    compress: given.has('compress'),
    copyBitmaps: given.has('bitmaps'),
    skipBrokenBitmaps: given.has('skip-broken-bitmaps'),
    salvage: given.has('salvage'),
    ...optional('rateLimit', rateLimit),
    ...optional('parallel', parallel),
    outOfOrder: given.has('out-of-order'),
    copyRange: given.has('copy-range'),
    forceShare: given.has('force-share'),
  };
}

/** Copies images into a new or an existing one. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const { given, checked } = await readArguments(session, args);
  checkConflicts(given, checked);
  const { operands } = given;
  const targetName = operands.length < 2 ? undefined : operands[operands.length - 1];
  if (asksForHelp(checked.lists.text ?? '')) {
    const format = given.text('target-format') ?? 'raw';
    return session.execute('option-help', { purpose: 'create', format, ...optional('filename', targetName) });
  }
  if (targetName === undefined) throw mistake('Must specify image file name');
  const sourceCache = cacheValue(given.text('source-cache'), 'source cache');
  const quiet = given.has('quiet');
  session.progress(given.has('progress') && !quiet).start();
  const sources = operands.slice(0, -1).map((name) => imageSource(session, given, name, 'source-format'));
  const target = convertTarget(session, given, targetName);
  const targetCache = cacheValue(given.text('target-cache'));
  const request = {
    sources,
    target,
    ...settings(given, checked),
    ...optional('sourceCache', sourceCache),
    ...optional('targetCache', targetCache),
    quiet,
  };
  return session.execute('convert', request, { quiet });
});
