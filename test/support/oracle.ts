/** The real qemu-img that tests compare with, where there is one. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { because } from './skip.ts';

/** The release line whose behaviour the tests expect. */
const EXPECTED_MAJOR = 11;

/** The real programs: the directory they are in, and their version. */
export interface Oracle {
  readonly bin: string;
  readonly version: string;
}

/**
 * The oracle in the directory that `QIMG_ORACLE_BIN` names, undefined if that is not set. A directory without a working
 * qemu-img is an error, not a reason to skip.
 */
export function findOracle(): Oracle | undefined {
  const bin = process.env['QIMG_ORACLE_BIN'];
  if (bin === undefined || bin === '') return undefined;
  const answer = execFileSync(join(bin, 'qemu-img'), ['--version'], { encoding: 'utf8' });
  const version = /version (\d+\.\d+\.\d+)/.exec(answer)?.[1];
  if (version === undefined) throw new Error(`QIMG_ORACLE_BIN: unexpected answer of qemu-img --version: ${answer}`);
  return { bin, version };
}

/** Why tests against the oracle cannot run; undefined if they can. */
export function reasonToSkip(oracle: Oracle | undefined): string | undefined {
  if (!oracle) return 'there is no real qemu-img (.ci/run sets one up, QIMG_ORACLE_BIN names one)';
  if (Number.parseInt(oracle.version, 10) === EXPECTED_MAJOR) return undefined;
  return `the real qemu-img is ${oracle.version}, and ${EXPECTED_MAJOR}.x is needed`;
}

/** Path of one of the oracle's programs: qemu-img, qemu-io, qemu-nbd. For use below `describeWithOracle`. */
export function oracleProgram(name: 'qemu-img' | 'qemu-io' | 'qemu-nbd'): string {
  const oracle = findOracle();
  if (!oracle) throw new Error('there is no oracle');
  return join(oracle.bin, name);
}

/**
 * Path of the real qemu-storage-daemon, which comes with qemu-nbd, and where that is run by a script is run by the same.
 * @param directory where such a script can be written.
 */
export function oracleStorageDaemon(directory: string): string {
  const script = readFileSync(oracleProgram('qemu-nbd'), 'utf8').replaceAll('qemu-nbd', 'qemu-storage-daemon');
  const path = join(directory, 'qemu-storage-daemon');
  writeFileSync(path, script, { mode: 0o755 });
  return path;
}

/** A `describe` whose tests run where there is a real qemu-img of the expected release line, and are skipped elsewhere. */
export function describeWithOracle(name: string, body: () => void): void {
  const reason = reasonToSkip(findOracle());
  describe.skipIf(reason !== undefined)(`${name}${because(reason)}`, body);
}
