/** How tests say why they are skipped. */

/** Why tests are skipped, with what would help in brackets; undefined where they run. */
export type Lack = string | undefined;

/** For the end of a name: the reason to skip, which `npm test` collects from there. */
export function because(lack: Lack): string {
  return lack === undefined ? '' : ` [skipped: ${lack}]`;
}
