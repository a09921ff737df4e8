/** The least Node: `package.json` has it, and every text that names it says the same. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const project = resolve(import.meta.dirname, '../../..');
const requireNode = join(project, 'scripts/lib/requireNode.cjs');
const { complaint } = createRequire(import.meta.url)(requireNode) as {
  readonly complaint: (purpose: 'run' | 'test', version: string) => string | undefined;
};

interface Manifest {
  readonly engines: { readonly node: string };
  readonly devEngines: { readonly runtime: { readonly version: string } };
}

function read(name: string): string {
  return readFileSync(join(project, name), 'utf8');
}

const manifest = JSON.parse(read('package.json')) as Manifest;
const run = /^>=([\d.]+)$/.exec(manifest.engines.node)?.[1] ?? '';
const tests = manifest.devEngines.runtime.version.match(/[\d.]+/g) ?? [];

/** The versions of Node that a text names. */
function named(text: string): string[] {
  return [...text.matchAll(/(?:Node(?:\.js)?|lines) \(?v?(\d+(?:\.\d+)*)(?=,| or newer|\))/g)].map(
    (match) => match[1] ?? '',
  );
}

describe('the least Node', () => {
  it('is one number for running and building, and one of each line for the tests', () => {
    expect(run).toBe('20');
    expect(tests).toEqual(['20.19', '22.12']);
    const lock = JSON.parse(read('package-lock.json')) as { readonly packages: { readonly '': Manifest } };
    expect(lock.packages[''].engines).toEqual(manifest.engines);
  });

  it.each(['README.md', 'CONTRIBUTING.md'])('is the same in %s', (name) => {
    expect(named(read(name).replace(/\s+/g, ' '))).toEqual([run, ...tests]);
  });

  it('is the same in the launcher', () => {
    expect(named(read('qimg'))).toEqual([run]);
  });

  // The entry gets its number when it is built, and the message for Node too old that of package.json.
  it.each(['scripts/first-use.mjs', 'scripts/lib/start.cjs', 'scripts/lib/requireNode.cjs'])('is not in %s', (name) => {
    expect(read(name)).not.toMatch(/Node(?:\.js)? \(?v?(?:1[89]|2\d)\.\d+ or newer/);
  });

  it.each([
    ['run', '20.0.0', true],
    ['run', '20.20.2', true],
    ['run', '100.0.0', true],
    ['run', '19.9.0', false],
    ['run', '9.11.2', false],
    ['test', '20.18.3', false],
    ['test', '20.19.0', true],
    ['test', '21.7.0', false],
    ['test', '22.11.0', false],
    ['test', '22.12.0', true],
    ['test', '24.0.0', true],
  ] as const)('to %s: %s is new enough: %s', (purpose, version, enough) => {
    expect(complaint(purpose, version) === undefined).toBe(enough);
  });
});

describe('a Node that is too old', () => {
  function start(script: string): { status: number | null; stderr: string; stdout: string } {
    const pretend = `Object.defineProperty(process.versions, 'node', { value: '18.19.0' });`;
    const load = `import(${JSON.stringify(join(project, script))});`;
    return spawnSync(process.execPath, ['-e', pretend + load], { encoding: 'utf8' });
  }

  it('is told so in one line, and that is all', () => {
    const line = `qimg: Node.js 20 or newer is needed, this is v18.19.0 (${process.execPath})\n`;
    for (const script of ['scripts/first-use.mjs', 'scripts/build.mjs']) {
      expect(start(script)).toMatchObject({ status: 1, stderr: line, stdout: '' });
    }
    const tested = start('scripts/test.mjs');
    expect(tested).toMatchObject({ status: 1, stdout: '' });
    expect(tested.stderr).toMatch(/^qimg: .* for the tests, this is v18\.19\.0 .*\n$/);
  });

  it('meets nothing else before', () => {
    expect(read('scripts/first-use.mjs').match(/^import .*$/gm)).toEqual([
      "import checks from './lib/requireNode.cjs';",
    ]);
  });
});
