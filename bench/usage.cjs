// Prints what the ended children of this process used: microseconds of processor time, and the most memory in KiB. Nothing
// where there is no koffi, whose packages are for Linux, as the layout of this structure is.
const path = require('node:path');

const RUSAGE_CHILDREN = -1;
const WORDS_OF_RUSAGE = 18;
try {
  const name = `@koromix/koffi-linux-${process.arch}`;
  const koffi = require(path.join(path.dirname(__dirname), 'node_modules', name));
  const usage = new BigInt64Array(WORDS_OF_RUSAGE);
  const getrusage = koffi.load(null).func('int getrusage(int who, uint8_t *usage)');
  getrusage(RUSAGE_CHILDREN, new Uint8Array(usage.buffer));
  const [seconds, microseconds, systemSeconds, systemMicroseconds, memory] = usage;
  console.log(`used ${(seconds + systemSeconds) * 1_000_000n + microseconds + systemMicroseconds} ${memory}`);
} catch {
  // The columns stay empty.
}
