/** Which image locks an opener takes (the lock table is in `docs/ARCHITECTURE.md`). */
import { type FileAccess, Permission } from '../../storage/files.ts';

const { consistentRead, write, writeUnchanged, resize } = Permission;
const ALL = consistentRead | write | writeUnchanged | resize;

/** Why the file below an image is opened. */
export interface AccessPurpose {
  /** As `FormatDriver.sharesFile`: such images share everything, all others expect to be the only writer. */
  readonly sharesFile: boolean;
  readonly writable: boolean;
  /** The image is only described, its data not touched. */
  readonly describeOnly: boolean;
  /** `-U`: whatever others do is accepted. */
  readonly forceShare: boolean;
  /** A raw image is going to change its size. */
  readonly resize: boolean;
  /** Nobody may write meanwhile, not even to a raw image: it is copied as it is at one moment. */
  readonly still?: boolean;
  /** The file holds nothing but guest data for an image that keeps its tables elsewhere: others may change the data. */
  readonly dataOnly?: boolean;
}

/** Permissions for the file below an image. */
export function accessFor(purpose: AccessPurpose): FileAccess {
  let used = purpose.describeOnly ? 0 : consistentRead;
  if (purpose.writable) used |= purpose.sharesFile && !purpose.resize ? write : write | resize;
  return { used, shared: sharedBy(purpose) };
}

function sharedBy({ sharesFile, still, dataOnly, forceShare }: AccessPurpose): number {
  if (forceShare) return ALL;
  if (still) return consistentRead | writeUnchanged;
  if (sharesFile) return ALL;
  return dataOnly ? ALL & ~resize : consistentRead | writeUnchanged;
}

/** While key slots change nobody else may rely on what the file holds, readers included. */
export const soleAccess: FileAccess = { used: consistentRead | write, shared: ALL & ~consistentRead };

/** Nothing used, everything shared: no locks. */
export const noAccess: FileAccess = { used: 0, shared: ALL };
