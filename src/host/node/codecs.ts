/** The codec port under Node: single streams at once on this thread, batches on all cores. */
import type { MaybePromise } from '../../base/async.ts';
import { isPromise } from '../../base/async.ts';
import type { CodecPort, Compression, Decompression, DecompressPiece } from '../../codec/codec.ts';
import type { CompressArgument, CompressResult, DecompressArgument } from './codecTasks.ts';
import { coders, fits } from './codecTasks.ts';
import { heedLimits } from './limits.ts';
import { forOtherThread, isShared, WorkerPool } from './pool.ts';

/** Wanted duration of a job in milliseconds. */
const JOB = 3;

/** Bytes per millisecond, roughly, of a year's middling core: decides how jobs are cut, not what they yield. */
function compressRate({ method, level }: Compression): number {
  if (method === 'zstd') return (level ?? 3) <= 4 ? 150_000 : (level ?? 3) <= 9 ? 60_000 : 10_000;
  if (level === undefined) return 110_000;
  return level <= 3 ? 110_000 : level <= 6 ? 50_000 : 25_000;
}

function decompressRate({ method }: Decompression): number {
  if (method === 'bzip2') return 20_000;
  if (method === 'xz') return 60_000;
  return method === 'lzfse' || method === 'adc' ? 150_000 : 400_000;
}

/**
 * Codecs of this host.
 * @param pool worker threads for batches; others may use the same pool.
 */
export function nodeCodecs(pool: WorkerPool = new WorkerPool()): CodecPort {
  heedLimits();
  const codec: CodecPort = {
    decompress(how, input, into): MaybePromise<number> {
      const decoder = coders.decoder(how);
      return isPromise(decoder) ? decoder.then((decode) => decode(input, into)) : decoder(input, into);
    },
    decompressBatch: (how, pieces) => decompressBatch(pool, how, pieces),
    compressBatch: (how, input, unit, limit, mayOverwrite = false) =>
      compressBatch(pool, { how, input, unit, limit, mayOverwrite }),
    expand: async (method, input) => (await import('./expand.ts')).expand(codec, method, input),
  };
  return codec;
}

async function compressBatch(pool: WorkerPool, batch: CompressArgument): Promise<(Uint8Array | undefined)[]> {
  const { how, input, unit } = batch;
  const rate = compressRate(how);
  const step = Math.max(1, Math.round((rate * JOB) / unit)) * unit;
  const jobs: Promise<CompressResult>[] = [];
  for (let at = 0; at < input.length; at += step) {
    const part = input.subarray(at, at + step);
    // What a worker would overwrite is perhaps a copy.
    const argument = { ...batch, input: part, mayOverwrite: batch.mayOverwrite && isShared(part) };
    jobs.push(
      pool.run({
        name: 'compress',
        argument,
        cost: part.length / rate,
        forWorker: (transfer) => ({ ...argument, input: forOtherThread(part, transfer) }),
      }),
    );
  }
  const streams: (Uint8Array | undefined)[] = [];
  const overwrites = batch.mayOverwrite && isShared(input);
  for (const { bytes, lengths } of await allDone(jobs)) {
    let at = 0;
    for (const length of lengths) {
      const place = streams.length * unit;
      if (length < 0) streams.push(undefined);
      else if (overwrites && fits(length, input.length - place, unit))
        streams.push(input.subarray(place, place + length));
      else {
        streams.push(bytes.subarray(at, at + length));
        at += length;
      }
    }
  }
  return streams;
}

async function decompressBatch(
  pool: WorkerPool,
  how: Decompression,
  pieces: readonly DecompressPiece[],
): Promise<number[]> {
  const rate = decompressRate(how);
  const jobs: Promise<readonly number[]>[] = [];
  let part: DecompressPiece[] = [];
  let size = 0;
  const submit = (): void => {
    if (part.length > 0) jobs.push(decompressPart(pool, how, part, size / rate));
    part = [];
    size = 0;
  };
  for (const piece of pieces) {
    part.push(piece);
    size += piece.output.length;
    if (size >= rate * JOB) submit();
  }
  submit();
  return (await allDone(jobs)).flat();
}

async function decompressPart(
  pool: WorkerPool,
  how: Decompression,
  pieces: readonly DecompressPiece[],
  cost: number,
): Promise<readonly number[]> {
  const inputs = pieces.map((piece) => piece.input);
  const outputs = pieces.map((piece) => piece.output);
  const { lengths, bytes } = await pool.run({
    name: 'decompress',
    argument: { how, inputs, outputs },
    cost,
    forWorker: (transfer): DecompressArgument => ({
      how,
      inputs: inputs.map((input) => forOtherThread(input, transfer)),
      outputs: outputs.map((output) => (isShared(output) ? output : output.length)),
    }),
  });
  if (bytes.length > 0) {
    // A worker sends back what it could not write in place.
    let at = 0;
    for (const [i, output] of outputs.entries()) {
      if (isShared(output)) continue;
      output.set(bytes.subarray(at, at + (lengths[i] as number)));
      at += output.length;
    }
  }
  return lengths;
}

/** All results, or the first error in order; in either case no job is under way any more. */
async function allDone<T>(jobs: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(jobs);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}
