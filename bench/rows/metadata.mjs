/** Checking, mapping, comparing; snapshots, commit and rebase. */

/** @typedef {import('../types.ts').Row} Row */
/** @typedef {import('../types.ts').Goal} Goal */

/** @type {Goal} */
const asFast = { wall: [0.8, 0.6] };
/** @type {Goal} */
const mapping = { wall: [0.7, 0.6] };
/** @type {Goal} */
const changing = { wall: [0.9, 0.7] };
/** The goals of the rest: no slower than the real program. */
const rest = { wall: /** @type {const} */ ([1, 1]) };

/**
 * Rows about an image with much metadata.
 * @param {string} what
 * @param {string} image
 * @returns {Row[]}
 */
function large(what, image) {
  return [
    { name: `check, ${what}`, argv: ['check', image], needs: [image], sameText: true, quick: true, goal: asFast },
    { name: `map json, ${what}`, argv: ['map', '--output=json', image], needs: [image], sameText: true, goal: mapping },
    {
      name: `snapshot -c, ${what}`,
      argv: ['snapshot', '-c', 'new', 'copy.qcow2'],
      copies: [[image, 'copy.qcow2']],
      verify: [['check', '-f', 'qcow2', 'copy.qcow2']],
      goal: mapping,
    },
  ];
}

/** @type {(image: string, name: string) => Row} */
const compare = (image, name) => ({
  name,
  argv: ['compare', 'disk.raw', image],
  needs: ['disk.raw', image],
  sameText: true,
  quick: true,
  goal: asFast,
});

/**
 * Rows that change an overlay or its base, of which copies are made.
 * @param {string} base
 * @param {string} overlay
 * @returns {{ commit: Row, empty: Row, other: Row }}
 */
function changes(base, overlay) {
  const common = {
    needs: [overlay],
    copies: /** @type {const} */ ([
      [base, 'base-copy.qcow2'],
      [overlay, 'overlay-copy.qcow2'],
    ]),
    goal: changing,
  };
  const qcow2 = ['-f', 'qcow2', '-F', 'qcow2'];
  const sound = (/** @type {string} */ image) => [
    ['check', '-f', 'qcow2', image],
    ['compare', ...qcow2, overlay, image],
  ];
  return {
    commit: {
      ...common,
      name: 'commit',
      argv: ['commit', '-q', '-f', 'qcow2', 'overlay-copy.qcow2'],
      // The overlay names the original, which stays as it is.
      prepare: [['rebase', '-u', ...qcow2, '-b', 'base-copy.qcow2', 'overlay-copy.qcow2']],
      verify: sound('base-copy.qcow2'),
    },
    empty: {
      ...common,
      name: 'rebase to nothing',
      argv: ['rebase', '-q', '-f', 'qcow2', '-b', '', 'overlay-copy.qcow2'],
      verify: sound('overlay-copy.qcow2'),
    },
    other: {
      ...common,
      name: 'rebase to another image',
      argv: ['rebase', '-q', ...qcow2, '-b', 'base-copy.qcow2', 'overlay-copy.qcow2'],
      verify: sound('overlay-copy.qcow2'),
    },
  };
}

const disk = changes('disk.qcow2', 'overlay.qcow2');
const wide = changes('wide-base.qcow2', 'wide-overlay.qcow2');

/** @type {readonly Row[]} */
export const metadata = [
  compare('disk.qcow2', 'compare raw with qcow2'),
  { ...compare('disk.copy.raw', 'compare raw with raw'), quick: false },
  { ...compare('zlib.qcow2', 'compare raw with compressed'), quick: false, goal: rest },
  ...large('4,096 L2 tables', 'tables.qcow2'),
  ...large('256 GiB preallocated', 'metadata-256.qcow2'),
  { ...disk.commit, quick: true },
  disk.empty,
];

/**
 * A terabyte with little data all over the place, and 20 snapshots.
 * @type {readonly Row[]}
 */
export const scattered = [
  { name: 'check', argv: ['check', 'wide.qcow2'], needs: ['wide.qcow2'], sameText: true, goal: asFast },
  { name: 'map json', argv: ['map', '--output=json', 'wide.qcow2'], needs: ['wide.qcow2'], sameText: true, goal: rest },
  ...['-c new', '-d snapshot5', '-a snapshot5'].map((what) => ({
    name: `snapshot ${what.slice(0, 2)}`,
    argv: ['snapshot', ...what.split(' '), 'copy.qcow2'],
    copies: /** @type {const} */ ([['wide.qcow2', 'copy.qcow2']]),
    verify: [['check', '-f', 'qcow2', 'copy.qcow2']],
    goal: rest,
  })),
  {
    name: 'measure',
    argv: ['measure', '-O', 'qcow2', 'wide.qcow2'],
    needs: ['wide.qcow2'],
    sameText: true,
    goal: rest,
  },
  { ...wide.commit, goal: rest },
  { ...wide.other, goal: rest },
];
