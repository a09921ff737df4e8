/** One disk through all formats that can be written, each format after and before several others. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digest, lackOfFileSystems, makeFileSystem } from '../support/fileSystem.ts';
import { because } from '../support/skip.ts';
import { describeWithOracle } from '../support/oracle.ts';
import { ours, real } from '../support/program.ts';

const MIB = 48;

/** A format on the way. */
interface Stop {
  readonly format: string;
  /** Options of `convert` for a target. */
  readonly target?: string;
  /** Open options for a source. */
  readonly source?: string;
  /** The real program can check it. */
  readonly checks?: boolean;
}

// Their number is prime, so that steps of any width lead through all of them.
const STOPS: readonly Stop[] = [
  { format: 'raw' },
  { format: 'qcow2', checks: true },
  { format: 'vmdk', checks: true },
  { format: 'qcow' },
  { format: 'vpc', target: '-o force_size=on' },
  { format: 'qcow2', target: '-c -o compression_type=zstd,cluster_size=16k', checks: true },
  { format: 'vhdx', checks: true },
  { format: 'vmdk', target: '-o subformat=streamOptimized', checks: true },
  { format: 'luks', target: '-o key-secret=s,iter-time=10', source: ',key-secret=s' },
  { format: 'qed', checks: true },
  { format: 'vpc', target: '-o force_size=on,subformat=fixed' },
  { format: 'vdi', checks: true },
  { format: 'vhdx', target: '-o subformat=fixed,block_size=2M', checks: true },
];
const SECRET = '--object secret,id=s,data=secret';

describeWithOracle('all formats one after the other', () => {
  const lack = lackOfFileSystems();
  describe.skipIf(lack !== undefined)(`with a file system${because(lack)}`, () => {
    let directory = '';
    let original = '';
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'qimg-matrix-'));
      await makeFileSystem(join(directory, 'disk.raw'), MIB);
      original = await digest(join(directory, 'disk.raw'));
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    /** One conversion, looked at by the real program. */
    async function hop(from: Stop, source: string, to: Stop, target: string): Promise<void> {
      const options = `driver=${from.format},file.filename=${source}${from.source ?? ''}`;
      await ours(`convert ${SECRET} --image-opts ${to.target ?? ''} -O ${to.format} ${options} ${target}`, directory);
      const result = `driver=${to.format},file.filename=${target}${to.source ?? ''}`;
      const said = await real(`compare ${SECRET} --image-opts driver=raw,file.filename=disk.raw ${result}`, directory);
      expect(said).toBe('Images are identical.\n');
      if (to.checks) await real(`check -q --image-opts ${result}`, directory);
    }

    it.each([1, 3, 5])('in steps of %i', { timeout: 180_000 }, async (width) => {
      let from: Stop = { format: 'raw' };
      let source = 'disk.raw';
      for (let step = 1; step <= STOPS.length; step++) {
        const to = STOPS[(step * width) % STOPS.length];
        if (!to) throw new Error('no such stop');
        const target = `${step}.${to.format}`;
        await hop(from, source, to, target);
        if (source !== 'disk.raw') rmSync(join(directory, source));
        from = to;
        source = target;
      }
      expect(source).toBe(`${STOPS.length}.raw`);
      expect(await digest(join(directory, source))).toBe(original);
      rmSync(join(directory, source));
    });
  });
});
