import { findOracle, reasonToSkip } from './oracle.ts';

/** Says once, before the tests run, what they are compared with. */
export function setup(): void {
  const oracle = findOracle();
  const reason = reasonToSkip(oracle);
  process.stderr.write(
    reason === undefined ? `interop: comparing with qemu-img ${oracle?.version}\n` : `interop: skipped: ${reason}\n`,
  );
}
