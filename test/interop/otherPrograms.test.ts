/** Formats in which other programs than qemu-img are at home. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../support/needs.ts';
import { because } from '../support/skip.ts';
import { runOther } from '../support/otherPrograms.ts';
import { ours, ourProgram, run, words } from '../support/program.ts';

const SECRET = '--object secret,id=s,data=pass';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'qimg-other-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const noCryptsetup = lackOf(['cryptsetup'], 'cryptsetup-bin');
describe.skipIf(noCryptsetup !== undefined)(`cryptsetup${because(noCryptsetup)}`, () => {
  it.each([
    ['aes-128', 'xts', 'plain64', 'sha256'],
    ['aes-256', 'xts', 'plain', 'sha512'],
    ['aes-256', 'cbc', 'essiv', 'sha1'],
    ['aes-192', 'cbc', 'plain64', 'ripemd160'],
  ])('opens a volume that is made here with %s-%s-%s:%s', async (cipher, mode, ivgen, hash) => {
    const options = `key-secret=s,iter-time=0,cipher-alg=${cipher},cipher-mode=${mode},ivgen-alg=${ivgen},hash-alg=${hash}`;
    await ours(`create -q ${SECRET} -f luks -o ${options} made.luks 1M`, directory);
    const file = join(directory, 'made.luks');
    expect(runOther('cryptsetup', ['luksDump', file])).toMatch(new RegExp(`Cipher mode:\\s+${mode}-${ivgen}`));
    runOther('cryptsetup', ['open', '--type', 'luks1', '--test-passphrase', '--key-file', '-', file], 'pass');
  });

  it.each([
    ['aes-xts-plain64', '512', 'sha512'],
    ['aes-cbc-essiv:sha256', '256', 'sha1'],
    ['aes-cbc-plain', '192', 'ripemd160'],
  ])('makes volumes with %s, %s bits and %s that are opened and sound here', async (cipher, bits, hash) => {
    const file = join(directory, 'theirs.luks');
    writeFileSync(file, '');
    truncateSync(file, 4 * 2 ** 20);
    const format = ['luksFormat', '--type', 'luks1', '-q', '--pbkdf-force-iterations', '1000', '--key-file', '-'];
    runOther('cryptsetup', [...format, '-c', cipher, '-s', bits, '-h', hash, file], 'pass');
    const open = 'driver=luks,key-secret=s,file.filename=theirs.luks';
    await ours(`convert ${SECRET} --image-opts ${open} -O raw theirs.raw`, directory);
    await ours('check --deep -f luks theirs.luks', directory);
  });
});

const noFatTools = lackOf(['fsck.fat'], 'dosfstools') ?? lackOf(['mcopy', 'mdir'], 'mtools');
describe.skipIf(noFatTools !== undefined)(`dosfstools and mtools${because(noFatTools)}`, () => {
  const content = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7919) >>> 8);

  beforeAll(() => {
    mkdirSync(join(directory, 'tree/Sub.dir/deep'), { recursive: true });
    mkdirSync(join(directory, 'tree/empty'));
    writeFileSync(join(directory, 'tree/Sub.dir/deep/Some long file name.bin'), content);
    for (const name of ['a', 'a b', 'größer', 'abcdefghi.txt', 'abcdefghj.txt']) {
      writeFileSync(join(directory, 'tree', name), name);
    }
  });

  // Not floppy:16: the real tool gives such disks fewer clusters than other programs expect of FAT16.
  it.each([
    ['12:', 63],
    ['16:', 63],
    ['32:', 63],
    ['floppy:12:', 0],
  ])('find nothing wrong with fat:%s, and every file', async (kind, sectors) => {
    // With a warning about FAT32.
    const made = await run(ourProgram(), words(`convert -O raw fat:${kind}tree disk.raw`), { cwd: directory });
    expect(made.code).toBe(0);
    const disk = join(directory, 'disk.raw');
    const part = join(directory, 'part.raw');
    await ours(`dd bs=512 skip=${sectors} if=disk.raw of=part.raw`, directory);
    expect(runOther('fsck.fat', ['-n', part])).toMatch(/: \d+ files, /);
    const names = runOther('mdir', ['-i', `${disk}@@${sectors * 512}`, '-/', '-b', '::']);
    expect(names.split('\n')).toEqual(expect.arrayContaining(['::/größer', '::/abcdefghj.txt', '::/empty/']));
    const copy = join(directory, 'copy.bin');
    runOther('mcopy', ['-o', '-i', part, '::Sub.dir/deep/Some long file name.bin', copy]);
    expect(readFileSync(copy).equals(content)).toBe(true);
  });
});
