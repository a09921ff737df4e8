/** Encrypted images that cross the border, and what both programs say about them. The real one takes seconds per volume. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const A = '--object secret,id=a,data=first-passphrase';
const BOTH = `${A} --object secret,id=b,data=two`;
const LUKS = 'key-secret=a,iter-time=0';
const INSIDE = 'encrypt.format=luks,encrypt.key-secret=a,encrypt.iter-time=0';
const AES = 'encrypt.format=aes,encrypt.key-secret=a';
const OPEN = 'driver=luks,key-secret=a,file.filename=';
const OPEN_QCOW2 = 'driver=qcow2,encrypt.key-secret=a,file.filename=';

/** The text with `json:` names in a form that does not depend on the order of their keys. */
function sorted(text: string): string {
  return text.replace(/json:\{.*\}/, (name) => Array.from(name).sort().join(''));
}

describeWithOracle('encrypted images', () => {
  let both: SideBySide;
  const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(400_000), randomBytes(348_576)]);

  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      writeFileSync(join(directory, 'disk.raw'), content);
      const make = (line: string): Promise<void> => real('qemu-img', `create -q ${line}`);
      await make(`${A} -f luks -o ${LUKS} real.luks 1M`);
      await make(`${A} -f luks -o ${LUKS},detached-header=on real.head`);
      await make(`${A} -f qcow2 -o ${INSIDE} real.qcow2 1M`);
      await make(`${A} -f qcow2 -o ${AES} aes.qcow2 1M`);
      await make('-f qcow2 plain.qcow2 1M');
      writeFileSync(join(directory, 'data.raw'), Buffer.alloc(1_000_001));
    });
  });
  afterAll(() => both.end());

  it.each([
    ['luks', LUKS, OPEN],
    ['luks', `${LUKS},cipher-alg=serpent-256,ivgen-alg=essiv,hash-alg=sha1`, OPEN],
    ['qcow2', `${INSIDE},extended_l2=on`, OPEN_QCOW2],
    ['qcow2', `${INSIDE},compat=0.10,cluster_size=512,encrypt.cipher-mode=cbc`, OPEN_QCOW2],
    ['qcow2', `${AES},preallocation=metadata`, OPEN_QCOW2],
    ['qcow2', 'encryption=on,encrypt.key-secret=a', OPEN_QCOW2],
  ])('%s %s: each reads what the other writes', async (format, options, open) => {
    const written = await both.ask(`convert ${A} -f raw -O ${format} -o ${options} disk.raw new`);
    expect(written.ours).toEqual(written.theirs);
    const ours = both.path('ours', 'new');
    const theirs = both.path('theirs', 'new');
    for (const [side, other] of [
      ['ours', theirs],
      ['theirs', ours],
    ] as const) {
      const answer = (await both.ask(`convert ${A} --image-opts -O raw ${open}${other} back-${side}.raw`))[side];
      expect(answer).toEqual({ stdout: '', stderr: '', code: 0 });
      expect(readFileSync(both.path(side, `back-${side}.raw`)).equals(content)).toBe(true);
    }
    if (format === 'qcow2') {
      const check = await both.theirAnswer(`check ${A} --image-opts ${open}${ours}`);
      expect(check.stdout).toMatch(/No errors were found/);
    }
    expect(readFileSync(ours).includes('first-passphrase')).toBe(false);
  });

  it('answers alike', async () => {
    const detached = 'driver=luks,key-secret=a,file.filename=data.raw,header.filename=real.head';
    const lines = [
      `create -f luks x 1M`,
      `create -f luks -o key-secret=gone x 1M`,
      `create ${A} -f luks -o ${LUKS},cipher-alg=rot13 x 1M`,
      `create ${A} -f luks -o ${LUKS},preallocation=some x 1M`,
      `create ${A} -f luks -o ${LUKS} x`,
      `create ${A} -f luks -o ${LUKS},detached-header=on x`,
      `create -f qcow2 -o encrypt.format=rot13 x 1M`,
      `create -f qcow2 -o encryption=on,${INSIDE} x 1M`,
      `create ${A} -f qcow2 -o ${AES},encrypt.iter-time=10 x 1M`,
      `convert ${A} -c -f raw -O qcow2 -o ${INSIDE} disk.raw x`,
      `convert ${A} -c -f raw -O luks -o ${LUKS} disk.raw x`,
      `measure ${A} -O luks -o ${LUKS} --size 1000001`,
      `measure -O qcow2 -o encrypt.format=luks --size 1G`,
      `info real.luks`,
      `info --output=json real.luks`,
      `info real.head`,
      `info ${A} --image-opts ${detached}`,
      `info --output=json real.qcow2`,
      `info ${A} --image-opts ${OPEN_QCOW2}real.qcow2,encrypt.format=aes`,
      `info aes.qcow2`,
      `info ${A} --image-opts ${OPEN_QCOW2}plain.qcow2,encrypt.format=luks`,
      `map real.luks`,
      `map --output=json ${A} --image-opts ${OPEN}real.luks`,
      `map --output=json ${A} --image-opts ${OPEN_QCOW2}real.qcow2`,
      `map ${BOTH} --image-opts driver=luks,key-secret=b,file.filename=real.luks`,
      `check real.qcow2`,
      `check ${A} --image-opts ${OPEN}real.luks`,
      `resize ${A} --image-opts ${OPEN}real.luks --preallocation=metadata +1M`,
      `resize ${A} --image-opts ${OPEN}real.luks 3M`,
      `resize ${A} --image-opts ${detached} 2M`,
      `info real.luks`,
    ];
    for (const line of lines) {
      const { theirs, ours } = await both.ask(line);
      expect({ line, ...ours, stdout: sorted(ours.stdout) }).toEqual({
        line,
        ...theirs,
        stdout: sorted(theirs.stdout),
      });
    }
  });
});
