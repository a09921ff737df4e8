/** What is refused where images come from somebody else (`limits.strict`). */
import { BlockError, unsupported } from '../../base/error.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Scope } from './scope.ts';

/**
 * Throws if an image has features that are not known, or is to be written to though its format was found out by looking at it:
 * who can write a raw disk can make it look like an image that names other files.
 * @param isGiven the user named the format.
 */
export async function refuseUnknown(format: string, isGiven: boolean, file: Storage, scope: Scope): Promise<void> {
  if (scope.writable && !isGiven && scope.probed === undefined) {
    throw new BlockError(
      'denied',
      `The format of '${file.name}' has to be given: it is not to be trusted, and written to`,
    );
  }
  const inspect = await scope.context.drivers.inspector(format);
  let problem: string | undefined;
  await inspect?.(file, {
    limits: scope.context.services.limits,
    fail(rule, why) {
      if (rule === 'features') problem ??= why;
    },
    unknown: () => undefined,
    note: () => undefined,
    name: () => undefined,
  });
  if (problem !== undefined) throw unsupported(`'${file.name}' is not to be trusted: ${problem}`);
}
