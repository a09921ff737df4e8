/** Kinds of metadata that writes can be kept off, as options name them. */

/** A kind of metadata. */
export type OverlapKind =
  | 'main-header'
  | 'active-l1'
  | 'active-l2'
  | 'refcount-table'
  | 'refcount-block'
  | 'snapshot-table'
  | 'inactive-l1'
  | 'inactive-l2'
  | 'bitmap-directory';

/** Where they are is known once the header and the snapshot table are read. */
const CONSTANT: readonly OverlapKind[] = [
  'main-header',
  'active-l1',
  'refcount-table',
  'snapshot-table',
  'bitmap-directory',
];
/** Where they are is known from tables that are in memory anyhow. */
const CACHED: readonly OverlapKind[] = [...CONSTANT, 'active-l2', 'refcount-block', 'inactive-l1'];

/** All kinds. */
export const OVERLAP_KINDS: readonly OverlapKind[] = [...CACHED, 'inactive-l2'];

/** The kinds that a word of `overlap-check` chooses; `cached` where there is none. */
export const OVERLAP_TEMPLATES: ReadonlyMap<string, readonly OverlapKind[]> = new Map([
  ['none', []],
  ['constant', CONSTANT],
  ['cached', CACHED],
  ['all', OVERLAP_KINDS],
]);
