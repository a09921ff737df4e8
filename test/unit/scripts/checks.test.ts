import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

const scripts = resolve(import.meta.dirname, '../../../scripts');
const made: string[] = [];

afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

/** Runs a check over a project of the given files; returns its complaints. */
function check(script: string, files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'qimg-check-'));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const { stderr, status } = spawnSync(process.execPath, [join(scripts, script), root], { encoding: 'utf8' });
  const complaints = stderr.split('\n').filter((line) => line !== '');
  expect(status).toBe(complaints.length > 0 ? 1 : 0);
  return complaints;
}

const cycle = (kind: string): Record<string, string> => ({
  'src/base/x.ts': `${kind} { Y } from './y.ts'; export const X: Y | number = 1;`,
  'src/base/y.ts': "import { X } from './x.ts'; export const Y = X;",
});

describe('check-floors', () => {
  const sound = {
    'src/base/a.ts': 'export const a = 1;',
    'src/storage/s.ts': "import { a } from '../base/a.ts'; export const s = a;",
    'src/block/b.ts': "import type { s } from '../storage/s.ts'; export type B = typeof s;",
    'src/formats/raw/driver.ts':
      "import type { B } from '../../block/b.ts'; export type R = B; export const table = [];",
    'src/drivers.ts':
      "export type * from './formats/raw/driver.ts'; export const all = [{ name: 'vdi' }, { name: 'file', load: 'x' }];",
    'src/operations/o.ts': "export const role = 'file';",
    'src/cli/words.ts': "export const w = 'vdi';",
    'src/host/node/file.ts': "import fs from 'node:fs'; import koffi from 'koffi'; export const f = [fs, koffi];",
    'src/host/shared/time.ts': 'export const now = 1;',
    'src/host/portable/host.ts': "import pako from 'pako'; export { now } from '../shared/time.ts'; export { pako };",
    'src/index.ts': "export * from './drivers.ts';",
    'src/testing.ts': "export * from './index.ts'; export * from './host/portable/host.ts';",
    'src/node.ts': "export * from './index.ts'; export * from './host/node/file.ts';",
    'src/cli/main.ts': "import path from 'node:path'; import * as all from '../node.ts'; export const m = [path, all];",
  };

  it('accepts imports from lower floors', () => {
    expect(check('check-floors.mjs', sound)).toEqual([]);
  });

  const bad: [what: string, path: string, text: string, complaint: string][] = [
    ['an import from a higher floor', 'src/base/x1.ts', "import '../storage/s.ts';", 'floor 1 is above floor 0'],
    ['a sibling', 'src/options/x2.ts', "import '../storage/s.ts';", 'options and storage of floor 1 are blind'],
    ['another driver', 'src/formats/vdi/x3.ts', "import '../raw/driver.ts';", 'formats/vdi and formats/raw of floor 3'],
    ['an operation that lists drivers', 'src/operations/x4.ts', "import '../drivers.ts';", 'are blind to each other'],
    ['a printer that knows the host', 'src/report/x5.ts', "import '../host/node/file.ts';", 'are blind to each other'],
    ['a type-only import', 'src/block/x6.ts', "import type { R } from '../formats/raw/driver.ts';", 'floor 3 is above'],
    ['an import type', 'src/block/x7.ts', "export type X = import('../formats/raw/driver.ts').R;", 'floor 3 is above'],
    ['a dynamic import', 'src/block/x8.ts', "await import('../formats/raw/driver.ts');", 'floor 3 is above floor 2'],
    ['a re-export', 'src/block/x9.ts', "export * from '../formats/raw/driver.ts';", 'floor 3 is above floor 2'],
    ['the platform', 'src/formats/vdi/x10.ts', "import 'node:fs';", 'the platform is known to'],
    ['the platform without its prefix', 'src/block/x11.ts', "import 'fs/promises';", 'the platform is known to'],
    ['a package', 'src/block/x12.ts', "import 'pako';", 'packages are loaded in src/host only'],
    ['a missing file', 'src/block/x13.ts', "import './y.ts';", 'there is no such file'],
    ['a file of no floor', 'src/formats/x14.ts', '', 'belongs to no floor'],
    ['an option of the program', 'src/block/x16.ts', "export const x = 'Use --force';", 'only src/cli speaks'],
    ['its name', 'src/base/x17.ts', 'export const x = `qemu-img: ${1}`;', 'only src/cli speaks'],
    ['the platform in the other host', 'src/host/portable/x18.ts', "import 'node:fs';", 'the platform is known to'],
    ['a host that knows the other', 'src/host/portable/x19.ts', "import '../node/file.ts';", 'are blind to each other'],
    [
      'the same the other way round',
      'src/host/node/x20.ts',
      "import '../portable/host.ts';",
      'are blind to each other',
    ],
    ['what hosts share knowing one', 'src/host/shared/x21.ts', "import '../portable/host.ts';", 'floor 5 is above'],
    ['a driver by its name', 'src/operations/x22.ts', "export const x = (f: string) => f === 'vdi';", "driver 'vdi'"],
    ['a driver in a type', 'src/block/x23.ts', "export type X = 'vdi' | 'other';", "driver 'vdi'"],
    [
      'the files of the host',
      'src/operations/x24.ts',
      'export const x = (s: S) => s.files.open();',
      'for protocols to',
    ],
    ['the same taken apart', 'src/formats/vdi/x25.ts', 'export const x = ({ files }: S) => files;', 'for protocols to'],
    ['state in a module', 'src/formats/vdi/x15.ts', 'export let state = 0;', 'module-scope state that can change'],
  ];
  let complaints: string[] = [];
  beforeAll(() => {
    const files = Object.fromEntries(bad.map(([, path, text]) => [path, text]));
    complaints = check('check-floors.mjs', { ...sound, ...files });
  });

  it.each(bad)('catches %s', (_, path, _text, complaint) => {
    expect(complaints.filter((line) => line.startsWith(`${path}:`))).toEqual([expect.stringContaining(complaint)]);
  });

  it.each(['src/index.ts', 'src/testing.ts'])('keeps %s off the host of one platform', (path) => {
    for (const name of ['./node.ts', './host/node/file.ts']) {
      expect(check('check-floors.mjs', { ...sound, [path]: `export * from '${name}';` })).toContain(
        `${path}:1: may not import '${name}': this entry point is for every platform`,
      );
    }
  });

  it.each(['import', 'import type'])('catches a circle within one folder, made with %s', (kind) => {
    expect(check('check-floors.mjs', cycle(kind))).toEqual([
      'import cycle: src/base/x.ts -> src/base/y.ts -> src/base/x.ts',
    ]);
  });
});

describe('check-length', () => {
  it('refuses what has more than 400 lines, but lists of cases', () => {
    const files = {
      'src/base/long.ts': '\n'.repeat(401),
      'src/base/just.ts': '\n'.repeat(400),
      'scripts/long.mjs': '\n'.repeat(500),
      'test/unit/cases.test.ts': '\n'.repeat(900),
    };
    expect(check('check-length.mjs', files)).toEqual([
      expect.stringMatching(/^src\/base\/long\.ts: 401 lines/),
      expect.stringMatching(/^scripts\/long\.mjs: 500 lines/),
    ]);
  });
});

describe('check-exports', () => {
  const sound = {
    'src/base/a.ts':
      'export interface A { readonly next?: A }\nexport interface B extends A { readonly c: Map<string, C> }\nexport type C = number;\n',
    'src/base/d.ts':
      "import type { A } from './a.ts';\nexport class D<T> { #a: A | undefined; get(of: T): T { const a: A = {}; return this.#a === a ? of : of; } }\n",
    'src/index.ts': "export type * from './base/a.ts';\nexport { D as Known } from './base/d.ts';\n",
    'src/node.ts': "import type { A } from './base/a.ts';\nexport * from './index.ts';\nexport type Own = A | URL;\n",
  };

  it('accepts entry points that export all that they speak of', () => {
    expect(check('check-exports.mjs', sound)).toEqual([]);
  });

  it('finds what was forgotten: in parameters, results, members, bases, imports under other names', () => {
    const complaints = check('check-exports.mjs', {
      ...sound,
      'src/base/e.ts':
        "import type { C as Count } from './a.ts';\ninterface Local { readonly x: number }\nclass Base {}\nexport class E extends Base { go(l: Local): Count { return l.x; } }\n",
      'src/testing.ts': "export { E } from './base/e.ts';\nexport type { B } from './base/a.ts';\n",
    });
    const line = (name: string, where: string, by: string, there: string): string =>
      `src/testing.ts: '${name}' (src/base/${where}) is not exported, but '${by}' (src/base/${there}) speaks of it`;
    expect(complaints).toEqual([
      line('Base', 'e.ts', 'E', 'e.ts'),
      line('Local', 'e.ts', 'E', 'e.ts'),
      line('C', 'a.ts', 'E', 'e.ts'),
      line('A', 'a.ts', 'B', 'a.ts'),
    ]);
  });
});

describe('check-docs', () => {
  const sound = {
    'README.md': [
      'See [the architecture](docs/ARCHITECTURE.md#floors) and [the web](https://example.org/x).',
      '',
      '```sh',
      'qimg info -f raw disk.img',
      '```',
      '## Formats',
      '| name | since |',
      '|---|---|',
      '| `raw` | `always` |',
    ].join('\n'),
    'docs/ARCHITECTURE.md':
      '[back](../README.md), `src/index.ts`, `formats/raw/`, `cli/`, `driver.ts`, `src/operations/VERB.ts`, `dist/bin/x.cjs`',
    'docs/formats/raw.md': [
      '## Layout',
      '| `bytes` | `none` |',
      '## The files of the driver',
      '| file | contents |',
      '|---|---|',
      '| `driver`, `read/map` | `image` |',
    ].join('\n'),
    'docs/formats/of-a-protocol.md': '# No table',
    'CONTRIBUTING.md': '',
    'CHANGELOG.md': '',
    LICENSE: '',
    'src/index.ts': "/** Everything. */\nexport * from './formats/raw/driver.ts';\n",
    'src/node.ts': '/** On Node. */\nexport {};\n',
    'src/testing.ts': '/** For tests. */\nexport {};\n',
    'src/cli/commands/info.ts': '/** Info. */\nexport function info(a: 1): void;\nexport function info(): void {}\n',
    'src/formats/raw/driver.ts': '/** Raw. */\nconst raw = 1;\nexport { raw };\n',
    'src/formats/raw/read/map.ts': '/** Map. */\nexport const map = 1;\n',
  };

  it('accepts a documented project', () => {
    expect(check('check-docs.mjs', sound)).toEqual([]);
  });

  it('compares the table of files on the page of a format with its folder', () => {
    const page = 'docs/formats/raw.md';
    const { 'src/formats/raw/read/map.ts': _, ...rest } = sound;
    const complaints = check('check-docs.mjs', {
      ...rest,
      [page]: `${sound[page]}\n| \`driver\` | again |\n`,
      'src/formats/raw/probe.ts': '',
    });
    expect(complaints).toEqual([
      `${page}: 'probe.ts' of src/formats/raw is missing`,
      `${page}: 'read/map.ts' is not in src/formats/raw`,
      `${page}: 'driver.ts' is there twice`,
    ]);
    expect(check('check-docs.mjs', { ...sound, [page]: '# Raw' })).toEqual([
      `${page}: 'driver.ts' of src/formats/raw is missing`,
      `${page}: 'read/map.ts' of src/formats/raw is missing`,
    ]);
  });

  it('catches what is wrong', () => {
    const { LICENSE: _, ...rest } = sound;
    const complaints = check('check-docs.mjs', {
      ...rest,
      'README.md': `${sound['README.md']}\n| \`qcow9\` | now |\n\nRun \`qimg paint x\` or \`qimg info -O vhdz\`; [more](docs/none.md).\n`,
      'docs/ARCHITECTURE.md': '`src/none.ts`, `formats/none/`, `raw/driver.ts`, `none.ts`',
      'src/node.ts': 'export {};\n',
      'src/base/x.ts':
        '/** File. */\nimport type { Y } from "./y.ts";\nexport type X = Y;\n// plain\nexport const x = 1;\n',
      'src/base/z.ts': 'class Z {}\nexport { Z };\n// oxlint-disable-next-line no-console\n',
    });
    expect(complaints).toEqual([
      'LICENSE is missing',
      "src/base/x.ts:3: 'X' is exported without a docblock",
      "src/base/x.ts:5: 'x' is exported without a docblock",
      'src/base/z.ts:3: a check is switched off without a reason (" -- why")',
      "src/base/z.ts:1: 'Z' is exported without a docblock",
      'src/node.ts:1: does not say what this entry point is for',
      "README.md: the link 'docs/none.md' leads nowhere",
      "docs/ARCHITECTURE.md: there is no 'src/none.ts'",
      "docs/ARCHITECTURE.md: there is no 'formats/none/'",
      "docs/ARCHITECTURE.md: there is no 'raw/driver.ts'",
      "docs/ARCHITECTURE.md: there is no 'none.ts'",
      "README.md: the command 'paint' does not exist",
      "README.md: the format 'vhdz' does not exist",
      "README.md: the format 'qcow9' does not exist",
    ]);
  });
});
