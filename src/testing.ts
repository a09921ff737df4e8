/**
 * A disk in memory, for tests of programs that use this package and for tests of the package itself: every operation
 * runs without touching the machine's files, and operations on files can be made to fail.
 */
import type { Services } from './block/services.ts';
import { drivers } from './drivers.ts';
import { portableServices } from './host/portable/host.ts';
import { MapSecretStore } from './host/shared/secrets.ts';
import { ImageLibrary, type RunSettings } from './operations/library.ts';
import { MemoryFiles } from './storage/memoryFiles.ts';

export * from './index.ts';
export type { CheckedOptions, CheckedStorage } from './storage/checked.ts';
export { type Crash, type Fault, FaultDriver, type FaultOperation, type LogEntry, replay } from './storage/fault.ts';
export { MemoryDriver, memoryStorage } from './storage/memory.ts';
export { MapSecretStore, MemoryFiles };

/** Services that need no platform, with files in memory and a clock that stands still. */
export function memoryServices(files: MemoryFiles = new MemoryFiles()): Services {
  return {
    ...portableServices({ files }),
    now: () => ({ seconds: 1_700_000_000, nanoseconds: 0 }),
    zoneOffset: () => 0,
  };
}

/** All operations on files in memory. */
export class MemoryLibrary extends ImageLibrary {
  /** The files. */
  readonly files: MemoryFiles;

  constructor(settings: RunSettings = {}, files: MemoryFiles = new MemoryFiles()) {
    super(drivers, memoryServices(files), settings);
    this.files = files;
  }
}
