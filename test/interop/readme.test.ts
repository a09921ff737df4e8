/**
 * The examples of README.md: every block of TypeScript compiles against the built package and runs. Each runs in a
 * directory of its own with `disk.qcow2`, `overlay.qcow2` on top of it, and `disk.raw`, all of 16 MiB.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** The TypeScript blocks of the README, with the line at which each starts. */
function examples(): { readonly line: number; readonly code: string }[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  return [...text.matchAll(/^```(?:ts|typescript)\n(.*?)^```$/gms)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length + 1,
    code: match[1] ?? '',
  }));
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

describe('README examples', () => {
  // Inside the package, so that its own name leads to what was built.
  let sources = '';
  let scratch = '';

  beforeAll(async () => {
    await run(process.execPath, [join(root, 'scripts/build.mjs')]);
    mkdirSync(join(root, '.cache'), { recursive: true });
    sources = mkdtempSync(join(root, '.cache/readme-'));
    scratch = mkdtempSync(join(tmpdir(), 'qimg-readme-'));
    for (const { line, code } of examples()) writeFileSync(join(sources, `line${line}.ts`), `${code}\nexport {};\n`);
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
    for (const { line } of examples()) {
      const program = join(sources, `line${line}.mjs`);
      const bundle = await rolldown({ input: join(sources, `line${line}.ts`), external: /^[^./]/, logLevel: 'silent' });
      await bundle.write({ file: program, format: 'esm' });
      await bundle.close();
      const directory = join(scratch, `line${line}`);
      mkdirSync(directory);
      await furnish(directory);
      const problem = await run(process.execPath, [program], { cwd: directory, timeout: 60_000 }).then(
        () => '',
        (error: { readonly stderr?: string }) => `README.md:${line}: ${error.stderr ?? 'killed'}`,
      );
      expect(problem).toBe('');
    }
  });
});
