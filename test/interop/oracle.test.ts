import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';

describeWithOracle('the oracle', () => {
  it.each(['qemu-img', 'qemu-io', 'qemu-nbd'] as const)('has a %s of the same release', (name) => {
    expect(execFileSync(oracleProgram(name), ['--version'], { encoding: 'utf8' })).toMatch(/version 11\.|11\.\d+\.\d+/);
  });
});
