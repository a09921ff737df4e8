/** What `resize` prints. */

/** For people, when all went well. */
export function formatResize(): string {
  return 'Image resized.\n';
}
