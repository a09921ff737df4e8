import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const script = pathToFileURL(join(import.meta.dirname, '../../../scripts/lib/notices.mjs')).href;
const { noticesOf } = (await import(script)) as {
  readonly noticesOf: (root: string, modules: Iterable<string>) => string;
};

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A project of these files. */
function project(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'qimg-notices-'));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const small = { 'node_modules/small/package.json': '{ "name": "small", "version": "1.2.3" }' };
const MODULES = ['src/index.ts', 'node_modules/small/dist/a.js', 'node_modules/small/dist/b.js'];

describe('notices of licences', () => {
  it('are those of the packages that are bundled, once, wherever these lie', () => {
    const root = project({
      ...small,
      'node_modules/small/LICENSE.md': 'of small\r\n',
      'node_modules/other/LICENSE': 'of other',
      'node_modules/other/package.json': '{ "name": "other", "version": "2.0.0" }',
      'node_modules/other/node_modules/@a/b/package.json': '{ "name": "@a/b", "version": "3.0.0" }',
      'node_modules/other/node_modules/@a/b/COPYING': 'of b',
      'node_modules/other/node_modules/@a/b/NOTICE.txt': 'and more',
    });
    const inner = join(root, 'node_modules/other/node_modules/@a/b/index.js');
    const text = noticesOf(root, [...MODULES, inner]);
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('='))).toEqual([
      'This program contains the following packages.',
      '@a/b 3.0.0',
      'of b',
      'and more',
      'small 1.2.3',
      'of small',
    ]);
  });

  it('come from a file of ours for a version that was published without', () => {
    const root = project({ ...small, 'scripts/lib/licenses/small@1.2.3.txt': 'of small' });
    expect(noticesOf(root, MODULES)).toContain('\nof small\n');
  });

  it.each<readonly [string, Readonly<Record<string, string>>, string]>([
    ['nowhere', {}, 'small 1.2.3 is bundled, and has no note of its licence'],
    ['for another version only', { 'scripts/lib/licenses/small@1.2.2.txt': 'x' }, 'has no note of its licence'],
    [
      'twice',
      { 'scripts/lib/licenses/small@1.2.3.txt': 'x', 'node_modules/small/LICENCE': 'x' },
      'needs no small@1.2.3.txt any more',
    ],
  ])('that are there %s end the build', (_, files, message) => {
    expect(() => noticesOf(project({ ...small, ...files }), MODULES)).toThrow(message);
  });

  it('are published', () => {
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as {
      readonly files: readonly string[];
    };
    expect(manifest.files).toContain('dist/bin/notices.txt');
  });
});
