// Loaded into a program under test: writes the most memory it had, in KiB, when it ends.
const { isMainThread } = require('node:worker_threads');
if (isMainThread) {
  const { writeFileSync } = require('node:fs');
  process.on('exit', () => writeFileSync(process.env.QIMG_PEAK_FILE, String(process.resourceUsage().maxRSS)));
}
