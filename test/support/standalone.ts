/** Tests with a standalone executable as the program (`npm run test:standalone`): which of them are only about Node, and why. */
import type { Lack } from './skip.ts';

/** The program under test is a standalone executable, which `QIMG_PROGRAM` names. */
export const standalone: boolean = process.env['QIMG_STANDALONE'] === '1';

/** Files of `test/interop` that are left out with it, and why. */
export const ONLY_NODE_FILES: Readonly<Record<string, string>> = {
  'bareContext.test.ts': 'the bundle of the library',
  'bench.test.ts': 'the bench',
  'consumer.test.ts': 'the package as a dependency',
  'firstUse.test.ts': 'the launcher in a checkout: installing and building',
  'manyCalls.test.ts': 'the library',
  'nodeVersions.test.ts': 'versions of Node',
  'oracle.test.ts': 'what tests compare with',
  'started.test.ts': 'the launcher, the package and the code caches; standalone.test.ts has what is true of both',
};

/** How a reason begins that is no mistake where nothing must be skipped. */
const ONLY_NODE = 'only about Node';

/** For a test that says nothing about the executable, or what cannot be there; undefined where it runs. */
export function onlyNode(why: string): Lack {
  return standalone ? `${ONLY_NODE}: ${why}` : undefined;
}
