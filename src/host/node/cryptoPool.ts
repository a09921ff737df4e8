/** Encryption of long runs of sectors on all cores. */
import { SECTOR } from '../../base/offset.ts';
import type { SectorWork } from '../../crypto/crypto.ts';
import { type CipherSpec, cipherFamily } from '../../crypto/spec.ts';
import { forOtherThread, isShared, type WorkerPool } from './pool.ts';

/** Wanted duration of a job in milliseconds. */
const JOB = 2;
/** Shortest job in bytes. */
const LEAST = 65536;

/** Bytes per millisecond, roughly, of a middling core: decides how jobs are cut. */
function rateOf({ cipher, mode }: CipherSpec): number {
  if (cipherFamily(cipher) !== 'aes') return 40_000;
  return { xts: 1_500_000, ecb: 2_000_000, cbc: 500_000, ctr: 300_000 }[mode];
}

/** Does the work in pieces on the threads of `pool`; resolves when all of them are back, rejects with the first error. */
export async function cryptSectors(pool: WorkerPool, work: SectorWork): Promise<void> {
  const rate = rateOf(work.spec);
  const step = Math.max(LEAST, Math.round((rate * JOB) / LEAST) * LEAST);
  const jobs: Promise<void>[] = [];
  for (let at = 0; at < work.data.length; at += step) {
    jobs.push(runPart(pool, work, at, Math.min(step, work.data.length - at), rate));
  }
  for (const outcome of await Promise.allSettled(jobs)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

async function runPart(pool: WorkerPool, work: SectorWork, at: number, length: number, rate: number): Promise<void> {
  const data = work.data.subarray(at, at + length);
  const part = { ...work, sector: work.sector + at / SECTOR, data };
  const done = await pool.run({
    name: 'sectors',
    argument: part,
    cost: length / rate,
    forWorker: (transfer) => ({ ...part, data: forOtherThread(data, transfer) }),
  });
  if (!isShared(data) && done.buffer !== data.buffer) data.set(done);
}
