/** Called by the launcher when the program is not built, or older than its sources: installs and builds it. */
import checks from './lib/requireNode.cjs';

checks.requireNode('run');
// Not before: an old Node knows neither the syntax of the rest nor what it imports.
void import('./lib/firstUse.mjs');
