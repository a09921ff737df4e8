/** What `commit` prints. */

/** For people, when all went well. */
export function formatCommit(): string {
  return 'Image committed.\n';
}
