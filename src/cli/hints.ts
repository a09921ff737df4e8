/** Advice in the words of the real tool. */
import type { BlockError } from '../base/error.ts';
import { type AdviceWords, type Hint, wordHint } from '../base/hint.ts';

/** The value of an option: a comma in it is written twice. Nobody's terminal gets commands from the names in an archive. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,').replaceAll(/\p{Cc}/gu, '?');
}

/** One word of a shell. */
function inShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const PROGRAM: AdviceWords = {
  shrink: () =>
    "Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make " +
    'sure there is no important data there.',
  'zero-target': () => 'Cannot use --target-is-zero when the destination image has a backing file',
  'implicit-open': () => 'The files that an image names are not opened here.',
  'replay-log': ({ filename }) => `To replay the log, run:\nqemu-img check -r all '${filename}'`,
  'snapshot-extra': () => 'You can force-remove this extra metadata with qemu-img check -r all',
  'snapshot-overhang': ({ count }) =>
    `You can force-remove all ${count} overhanging snapshots with qemu-img check -r all`,
  'leaked-clusters': () => "Some clusters may be leaked, run 'qemu-img check -r' on the image file to fix.",
  'refcount-width': () =>
    'Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image ' +
    'cannot be opened for writing',
  'remove-bitmap': () => 'Try block-dirty-bitmap-remove to delete this bitmap from disk',
  'skip-bitmaps': () => "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it",
  rebase: () => "You can use 'qemu-img rebase' instead.",
  member: ({ driver, archive, member }) => {
    const options = `file.driver=${driver},file.member=${optionValue(member)},file.file.filename=${optionValue(archive)}`;
    return `Choose one: --image-opts ${inShell(options)} (-f raw takes the file as it is)`;
  },
  first: ({ error }) => [`qemu-img: ${error.message}`, ...error.hints.map(programHint)].join('\n'),
  also: ({ message }) => `qemu-img: ${message}`,
};

/** A hint as the real tool says it. */
export function programHint(hint: Hint): string {
  return wordHint(hint, PROGRAM);
}

function standsAbove(hint: Hint): boolean {
  return typeof hint !== 'string' && hint.about === 'first';
}

/** The lines that a person sees for an error, with `prefix` in front of its message. */
export function errorLines(error: BlockError, prefix = 'qemu-img: '): string {
  const first = error.hints.filter(standsAbove).map(programHint);
  const below = error.hints.filter((hint) => !standsAbove(hint)).map(programHint);
  return [...first, `${prefix}${error.message}`, ...below, ''].join('\n');
}

/** True if an error brings advice of that kind with it. */
export function hasAdvice(error: BlockError, about: keyof AdviceWords): boolean {
  return error.hints.some((hint) => typeof hint !== 'string' && hint.about === about);
}
