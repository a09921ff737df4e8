/**
 * The package as a strict project uses it: its types compile with everything checked, in a project that has no types of
 * Node and looks into the package's own declarations.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

const PROGRAM = `
import { BlockError, type Advice, type ConvertRequest, type ErrorKind, type ImageNode, type InfoResult, type RequestOf } from 'qimg/node';
import { convert, info, nodeLibrary, openImage } from 'qimg/node';
import { type FormatDriver, ImageLibrary, type Services, drivers } from 'qimg';
import { MemoryLibrary } from 'qimg/testing';

export async function sizes(image: string, signal: AbortSignal): Promise<readonly number[]> {
  const result: InfoResult = await info({ image, backingChain: true }, { implicitOpen: 'same-directory', signal });
  return result.images.flatMap((one) => one.snapshots.map((snapshot): number => snapshot.vmClockSeconds));
}

export async function describe(image: string): Promise<string> {
  const library: ImageLibrary = nodeLibrary({ secrets: { key: 'x' } });
  const result = await library.check({ image });
  return result.kind === 'unsupported' ? result.format : String(result.findings.leaks);
}

export function kindOf(error: unknown): ErrorKind | Advice['about'] | undefined {
  if (!(error instanceof BlockError)) return undefined;
  const [hint] = error.hints;
  return typeof hint === 'object' ? hint.about : error.kind;
}

export async function copied(source: ConvertRequest['source'], format: string | undefined): Promise<number> {
  const { size } = await convert({ source, target: { filename: 'copy', format }, options: { cluster_size: '1M' } });
  return size;
}

export const few: RequestOf<'bench'> = { image: { filename: 'a', format: 'raw' }, count: 10 };
export const made = (services: Services): ImageLibrary => new ImageLibrary(drivers, services);
export const opened = (name: string): Promise<ImageNode> => openImage(name, { writable: true });
export const memory: MemoryLibrary = new MemoryLibrary();
export type Driver = FormatDriver;
// @ts-expect-error -- types are there: a name cannot be a number
export const wrong = info({ image: 1 });
`;

describe('a strict project', () => {
  let project = '';

  beforeAll(async () => {
    await run(process.execPath, [join(root, 'scripts/build.mjs')]);
    project = mkdtempSync(join(tmpdir(), 'qimg-consumer-'));
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project, root], { cwd: project });
    const [tarball = ''] = readdirSync(project);
    const home = join(project, 'node_modules/qimg');
    mkdirSync(home, { recursive: true });
    await run('tar', ['-xzf', join(project, tarball), '-C', home, '--strip-components=1']);
    writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }');
    writeFileSync(join(project, 'program.ts'), PROGRAM);
  }, 180_000);

  afterAll(() => {
    if (project !== '') rmSync(project, { recursive: true, force: true });
  });

  it.each(['nodenext', 'preserve'])('compiles with module %s, declarations of the package included', async (module) => {
    const compilerOptions = {
      module,
      moduleResolution: module === 'preserve' ? 'bundler' : 'nodenext',
      target: 'es2023',
      // AbortSignal is known to browsers and to Node; this project has no types of the latter.
      lib: ['es2023', 'dom'],
      types: [],
      strict: true,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
      noEmit: true,
    };
    const config = join(project, `tsconfig.${module}.json`);
    writeFileSync(config, JSON.stringify({ compilerOptions, include: ['program.ts'] }));
    const problems = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config]).then(
      () => '',
      (error: { readonly stdout?: string }) => error.stdout ?? 'tsc does not run',
    );
    expect(problems).toBe('');
  });
});
