/** The port for what does not fit into memory and has to be read in any order: files that nobody else sees. */
import type { SpoolStorage } from '../storage/forward.ts';

/** Makes files that are gone when they are closed, or when the process ends. */
export interface SpoolPort {
  /**
   * An empty one. Writing fails with kind `no-space` where all of them would hold more than they may, or the file system is full.
   */
  create(): Promise<SpoolStorage>;
}
