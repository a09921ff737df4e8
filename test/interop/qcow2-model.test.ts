/** Images that random sequences left, seen by the real program: sound, and with the bytes of the model. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { type Subject, TOP } from '../support/qcow2Model.ts';
import { AMENDMENTS, BITMAPS, CHAIN, CONTENT, runSequence, SNAPSHOTS, stepsOf } from '../support/qcow2Steps.ts';
import { SHAPES } from '../support/qcow2Shapes.ts';
import { SEED } from '../support/seed.ts';

/** Sequences; their number grows with `QIMG_MODEL_RUNS`. */
const RUNS = Math.ceil(Number(process.env['QIMG_MODEL_RUNS'] ?? 2000) / 50);

function real(directory: string, ...args: string[]): string {
  return execFileSync(oracleProgram('qemu-img'), args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' });
}

function approve(subject: Subject, directory: string): void {
  for (const name of subject.files.names()) writeFileSync(join(directory, name), subject.files.bytes(name));
  writeFileSync(join(directory, 'expected'), subject.bytes);
  expect(real(directory, 'check', '-f', 'qcow2', TOP)).toContain('No errors were found');
  expect(real(directory, 'compare', '-f', 'qcow2', '-F', 'raw', TOP, 'expected')).toContain('Images are identical.');
  for (const { name, bytes } of subject.snapshots) {
    // The real program shows snapshots in the size that the image has now.
    if (bytes.length !== subject.bytes.length) continue;
    writeFileSync(join(directory, 'expected'), bytes);
    real(directory, 'convert', '-f', 'qcow2', '-O', 'raw', '-l', name, TOP, 'view');
    expect(real(directory, 'compare', '-f', 'raw', '-F', 'raw', 'view', 'expected')).toContain('Images are identical.');
  }
}

describeWithOracle('images after random sequences', () => {
  it('are sound and hold the same for the real program', { timeout: 30_000 + RUNS * 3000 }, async () => {
    const shapes = SHAPES.filter(({ crypt }) => crypt === 'none');
    const kinds = [...CONTENT, ...SNAPSHOTS, ...BITMAPS, ...AMENDMENTS, ...CHAIN];
    const property = fc.asyncProperty(shapes, stepsOf(kinds), async (shape, steps) => {
      const subject = await runSequence(shape, steps);
      const directory = mkdtempSync(join(tmpdir(), 'qimg-model-'));
      try {
        approve(subject, directory);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });
});
