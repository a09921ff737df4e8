/** Options that many commands declare alike. */
import type { CommandOption } from './help.ts';

/** `-f`: the format of `what`. */
export function formatOption(what: string): CommandOption {
  return {
    id: 'format',
    short: 'f',
    long: 'format',
    argument: 'FMT',
    help: [`format of ${what} (default: found by looking at it)`],
  };
}

/** `--image-opts`. */
export function imageOptsOption(what: string, conflict = '-f'): CommandOption {
  return {
    id: 'image-opts',
    long: 'image-opts',
    help: [`take ${what} as a description (key=value,..) instead of a file name`, `(not together with ${conflict})`],
  };
}

/** A cache mode. */
export function cacheOption(short: string, what: string, standard = 'writeback'): CommandOption {
  return {
    id: 'cache',
    short,
    long: 'cache',
    argument: 'CACHE',
    help: [`cache mode for ${what} (default: ${standard})`],
  };
}

/** `-U`. */
export const FORCE_SHARE: CommandOption = {
  id: 'force-share',
  short: 'U',
  long: 'force-share',
  help: ['open even if another process has the image open for writing'],
};

/** `--untrusted`. */
export const UNTRUSTED: CommandOption = {
  id: 'untrusted',
  long: 'untrusted',
  exact: true,
  own: 'no file that an image names is opened, unknown features are refused, and its cost is limited (see inspect)',
};

/** `-q`. */
export const QUIET: CommandOption = { id: 'quiet', short: 'q', long: 'quiet', help: ['print errors only'] };

/** `-p`. */
export const PROGRESS: CommandOption = {
  id: 'progress',
  short: 'p',
  long: 'progress',
  help: ['show how much of the work is done'],
};

/** `--output`. */
export const OUTPUT: CommandOption = {
  id: 'output',
  long: 'output',
  argument: 'human|json',
  help: ['form of the output (default: human)'],
};

/** `-r` as a rate. */
export const RATE_LIMIT: CommandOption = {
  id: 'rate-limit',
  short: 'r',
  long: 'rate-limit',
  argument: 'RATE',
  help: ['write at most RATE bytes per second'],
};

/** The image operand. */
export const FILE_OPERAND: { readonly name: string; readonly help: readonly string[] } = {
  name: 'FILE',
  help: ['the image: a file name, or with --image-opts a description'],
};
