/**
 * The examples of README.md and docs/serve.md: the commands of the first run in a fresh checkout as they are pasted, and every block of TypeScript
 * compiles against the built package and runs. Each of these runs in a directory of its own with `disk.qcow2`,
 * `overlay.qcow2` on top of it, and `disk.raw`, all of 16 MiB.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createImage, openImage } from '../../src/node.ts';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const SIZE = 16 * 2 ** 20;

interface Example {
  /** Of which page, and where. */
  readonly at: string;
  readonly code: string;
}

/** The blocks of a page in one language, with the line at which each starts. */
function blocks(page: string, language: string): Example[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`(?:${language})\\n(.*?)^\`\`\`$`, 'gms'))].map((match) => ({
    at: `${page}:${text.slice(0, match.index).split('\n').length + 1}`,
    code: match[1] ?? '',
  }));
}

/** The programs that the pages show. */
function examples(): Example[] {
  return ['README.md', 'docs/serve.md'].flatMap((page) => blocks(page, 'ts|typescript'));
}

/** The name of an example's file. */
function fileOf({ at }: Example): string {
  return at.replaceAll(/\W/g, '-');
}

/** The commands of the README, but `npm test`: that is what runs here. */
function commands(): string[] {
  const lines = blocks('README.md', 'sh').flatMap(({ code }) => code.trim().split('\n'));
  return lines.filter((line) => line !== 'npm test');
}

/** The files that an example finds. */
async function furnish(directory: string): Promise<void> {
  const disk = join(directory, 'disk.qcow2');
  await createImage({ filename: disk, format: 'qcow2', size: SIZE });
  await createImage({ filename: join(directory, 'disk.raw'), size: SIZE });
  const node = await openImage(disk, { writable: true });
  await node.write(SIZE / 2, new Uint8Array(100_000).fill(7));
  await node.close();
  await createImage({
    filename: join(directory, 'overlay.qcow2'),
    format: 'qcow2',
    backing: { filename: 'disk.qcow2', format: 'qcow2' },
  });
}

describe('README commands', () => {
  it('start with one, and work as pasted in a fresh checkout', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'qimg-readme-'));
    try {
      for (const name of ['qimg', 'src', 'scripts', 'package.json', 'package-lock.json']) {
        cpSync(join(root, name), join(scratch, name), { recursive: true });
      }
      symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));
      expect(commands()[0]).toMatch(/^\.\/qimg /);
      for (const command of commands()) await run('sh', ['-ec', command], { cwd: scratch });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});

describe('README examples', () => {
  // Inside the package, so that its own name leads to what was built.
  let sources = '';
  let scratch = '';

  beforeAll(async () => {
    await run(process.execPath, [join(root, 'scripts/build.mjs')]);
    mkdirSync(join(root, '.cache'), { recursive: true });
    sources = mkdtempSync(join(root, '.cache/readme-'));
    scratch = mkdtempSync(join(tmpdir(), 'qimg-readme-'));
    for (const example of examples()) {
      writeFileSync(join(sources, `${fileOf(example)}.ts`), `${example.code}\nexport {};\n`);
    }
    const options = { extends: join(root, 'tsconfig.json'), include: ['*.ts'] };
    writeFileSync(join(sources, 'tsconfig.json'), JSON.stringify(options));
  }, 120_000);

  afterAll(() => {
    for (const directory of [sources, scratch]) if (directory) rmSync(directory, { recursive: true, force: true });
  });

  it('are there', () => {
    expect(examples().length).toBeGreaterThan(0);
  });

  it('compile', async () => {
    const problems = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', sources]).then(
      () => '',
      (error: { readonly stdout?: string }) => error.stdout ?? 'tsc does not run',
    );
    expect(problems).toBe('');
  });

  it('run', async () => {
    for (const example of examples()) {
      const file = fileOf(example);
      const program = join(sources, `${file}.mjs`);
      const bundle = await rolldown({ input: join(sources, `${file}.ts`), external: /^[^./]/, logLevel: 'silent' });
      await bundle.write({ file: program, format: 'esm' });
      await bundle.close();
      const directory = join(scratch, file);
      mkdirSync(directory);
      await furnish(directory);
      const problem = await run(process.execPath, [program], { cwd: directory, timeout: 300_000 }).then(
        () => '',
        (error: { readonly stderr?: string }) => `${example.at}: ${error.stderr ?? 'killed'}`,
      );
      expect(problem).toBe('');
    }
  });
});
