import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { ONLY_NODE_FILES, standalone } from './test/support/standalone.ts';

const LEFT_OUT = standalone ? Object.keys(ONLY_NODE_FILES) : ['standalone.test.ts'];

/**
 * Tests of one folder. Limits of time are for what hangs: a machine with one busy core takes ten times as long as others.
 * Processes rather than threads: native modules, signals and the working directory are per process.
 */
function project(name: string, isolate: boolean, testTimeout: number): object {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      exclude: LEFT_OUT.map((file) => `test/interop/${file}`),
      pool: 'forks',
      isolate,
      testTimeout,
      hookTimeout: testTimeout,
      expect: { poll: { timeout: testTimeout / 2 } },
      // Programs that are compared side by side draw no numbers: their tests start sooner without this.
      setupFiles: name === 'interop' ? [] : ['test/support/seed.ts'],
      globalSetup: name === 'interop' ? ['test/support/announceOracle.ts'] : [],
    },
  };
}

const config: ViteUserConfig = defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      // Formats and operations keep no state in modules, so that many files may share one process.
      project('unit', false, 60_000),
      project('model', false, 60_000),
      project('fuzz', false, 60_000),
      project('interop', true, 120_000),
      project('crash', true, 60_000),
    ],
  },
});

export default config;
