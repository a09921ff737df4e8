/**
 * Advice below an error or a warning. What is the same for everybody is plain text; what a program on a command line and
 * a caller of the library would do differently is an {@link Advice}: facts, which each of them puts in its own words.
 */

/** Advice that depends on who is spoken to, with the facts that it takes to word it. */
export type Advice =
  /** A smaller guest size has to be asked for. */
  | { readonly about: 'shrink' }
  /** A new target with a backing image does not read as zeroes. */
  | { readonly about: 'zero-target' }
  /** The image names another file, and the gate is shut. */
  | { readonly about: 'implicit-open' }
  /** A repair replays the log of the image. */
  | { readonly about: 'replay-log'; readonly filename: string }
  /** A repair removes what is too much behind a snapshot's entry. */
  | { readonly about: 'snapshot-extra' }
  /** A repair removes the last `count` snapshots. */
  | { readonly about: 'snapshot-overhang'; readonly count: number }
  /** A repair gives leaked clusters back. */
  | { readonly about: 'leaked-clusters' }
  /** Refcounts are too narrow for the image. */
  | { readonly about: 'refcount-width' }
  /** A bitmap that cannot be trusted is only good for removing. */
  | { readonly about: 'remove-bitmap' }
  /** Bitmaps that cannot be trusted can be left out of a copy. */
  | { readonly about: 'skip-bitmaps' }
  /** The backing image is changed in another way. */
  | { readonly about: 'rebase' }
  /** One file of an archive has to be chosen. */
  | { readonly about: 'member'; readonly driver: string; readonly archive: string; readonly member: string }
  /** What was wrong in the first place; stands above the error. */
  | { readonly about: 'first'; readonly error: { readonly message: string; readonly hints: readonly Hint[] } }
  /** A second thing that went wrong. */
  | { readonly about: 'also'; readonly message: string };

/** Text for everybody, or advice that each surface words by itself. */
export type Hint = string | Advice;

/** How each kind of advice is worded, for one surface. */
export type AdviceWords = { readonly [A in Advice['about']]: (advice: Extract<Advice, { about: A }>) => string };

/** The words of the library. */
const LIBRARY: AdviceWords = {
  shrink: () => "Everything beyond the new end is lost; 'shrink: true' allows it",
  'zero-target': () => "Leave out 'targetIsZero'",
  'implicit-open': () =>
    "'implicitOpen' says which files an image may have opened: 'same-directory', 'allow', or a function",
  'replay-log': () => "'check' with repair 'all' replays the log",
  'snapshot-extra': () => "'check' with repair 'all' removes this extra metadata",
  'snapshot-overhang': ({ count }) => `'check' with repair 'all' removes the ${count} overhanging snapshots`,
  'leaked-clusters': () => "Some clusters may be leaked; 'check' with repair 'leaks' gives them back",
  'refcount-width': () =>
    "'amend' with a larger refcount_bits makes room, 'convert' makes a clean copy if the image cannot be opened for writing",
  'remove-bitmap': () => "'bitmap' with the action 'remove' deletes it",
  'skip-bitmaps': () => "'skipBrokenBitmaps' leaves it out, 'bitmap' with the action 'remove' deletes it",
  rebase: () => "'rebase' does that",
  member: ({ driver, archive, member }) =>
    `One is chosen by options: { file: { driver: '${driver}', member: '${member}', file: { driver: 'file', filename: '${archive}' } } }`,
  first: ({ error }) => [error.message, ...error.hints.map(hintText)].join('\n'),
  also: ({ message }) => message,
};

/** A hint in given words. */
export function wordHint(hint: Hint, words: AdviceWords): string {
  if (typeof hint === 'string') return hint;
  // The table has for each kind of advice a function that takes just that.
  return (words[hint.about] as (advice: Advice) => string)(hint);
}

/** A hint as the library says it. */
export function hintText(hint: Hint): string {
  return wordHint(hint, LIBRARY);
}
