/** The part of the sources that is for every platform is type-checked without Node's types. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');

function typescript(...args: string[]): string[] {
  const program = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [program, ...args], { cwd: root, encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line !== '');
}

const BAD: readonly [name: string, text: string, complaint: string][] = [
  ['buffer', 'export const bytes: Uint8Array = Buffer.from([1]);', "'Buffer'"],
  ['process', 'export const id: number = process.pid;', "'process'"],
  ['timer', 'export const timer: unknown = setTimeout(() => undefined, 1);', "'setTimeout'"],
  ['immediate', 'export const timer: unknown = setImmediate(() => undefined);', "'setImmediate'"],
  ['console', "console.log('x'); export {};", "'console'"],
  ['modules', "import { readFileSync } from 'node:fs'; export const read: unknown = readFileSync;", "'node:fs'"],
  ['types', 'export type Timer = NodeJS.Timeout;', "'NodeJS'"],
];

describe('the portable part', () => {
  let directory = '';
  let complaints: string[] = [];

  beforeAll(() => {
    // Within the project, where Node's types can be found.
    mkdirSync(join(root, '.cache'), { recursive: true });
    directory = mkdtempSync(join(root, '.cache/portable-'));
    for (const [name, text] of BAD) writeFileSync(join(directory, `${name}.ts`), text);
    writeFileSync(join(directory, 'sound.ts'), 'export const bytes: Uint8Array = new TextEncoder().encode();');
    const files = ['../../portable.d.ts'];
    const config = { extends: '../../tsconfig.portable.json', files, include: ['*.ts'], exclude: [] };
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config));
    complaints = typescript('-p', directory, '--pretty', 'false');
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(BAD)('is refused what only Node has: %s', (name, _text, complaint) => {
    expect(complaints.filter((line) => line.includes(`${name}.ts(`))).toEqual([expect.stringContaining(complaint)]);
  });

  it('may use what every platform has', () => {
    expect(complaints.filter((line) => line.includes('sound.ts'))).toEqual([]);
  });

  it('is all but the hosts of Node and Bun and the program', () => {
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .filter((name) => !/^(?:cli\/|host\/(?:bun|node)\/|node\.ts$)/.test(name))
      .map((name) => join('src', name));
    const checked = typescript('-p', 'tsconfig.portable.json', '--listFilesOnly').map((path) => relative(root, path));
    expect(checked.filter((path) => dirname(path).startsWith('src')).sort()).toEqual(sources.sort());
  }, 60_000);
});
