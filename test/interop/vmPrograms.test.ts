/**
 * Images of virtual machines in other hands: 7-Zip, libvmdk and libvhdi read what is written here, and a stream that
 * VMDKstream made is read here. None of them has anything in common with the real tool.
 */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check, convert } from '../../src/node.ts';
import { MiB } from '../../src/base/offset.ts';
import { lackOf } from '../support/needs.ts';
import { because, type Lack } from '../support/skip.ts';

const SIZE = 5 * MiB;
/** The Python that Debian's modules are for; the first one on the path may be another. */
const PYTHON = '/usr/bin/python3';
const READER = `
import hashlib, sys, pyvhdi, pyvmdk
name = sys.argv[1]
image = pyvmdk.handle() if name.endswith('.vmdk') else pyvhdi.file()
image.open(name)
if name.endswith('.vmdk'): image.open_extent_data_files()
print(hashlib.sha256(image.read_buffer(image.get_media_size())).hexdigest())
`;

const IMAGES: readonly { readonly name: string; readonly options: Readonly<Record<string, string>> }[] = [
  { name: 'monolithicSparse.vmdk', options: {} },
  { name: 'monolithicFlat.vmdk', options: { subformat: 'monolithicFlat' } },
  { name: 'twoGbMaxExtentSparse.vmdk', options: { subformat: 'twoGbMaxExtentSparse' } },
  { name: 'twoGbMaxExtentFlat.vmdk', options: { subformat: 'twoGbMaxExtentFlat' } },
  { name: 'streamOptimized.vmdk', options: { subformat: 'streamOptimized' } },
  { name: 'dynamic.vdi', options: {} },
  { name: 'static.vdi', options: { static: 'on' } },
  { name: 'dynamic.vhd', options: { force_size: 'on' } },
  { name: 'fixed.vhd', options: { force_size: 'on', subformat: 'fixed' } },
  { name: 'dynamic.vhdx', options: { block_size: '1M' } },
  { name: 'fixed.vhdx', options: { subformat: 'fixed' } },
  { name: 'present.vhdx', options: { subformat: 'fixed', block_state_zero: 'off', block_size: '1M' } },
];

/** Why Debian's Python cannot load these modules; undefined if it can. */
function lackOfModules(names: string, debian: string): Lack {
  try {
    execFileSync(PYTHON, ['-c', `import ${names}`], { stdio: 'ignore' });
    return undefined;
  } catch {
    return `modules of ${PYTHON} are missing: ${names} (apt-get install ${debian})`;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Something in the first and last blocks and in between, which does not compress everywhere. */
function content(): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  let word = 1;
  for (let at = 0; at < 200_000; at++) bytes[at] = word = (word * 16807) % 2147483647;
  bytes.fill(0x5a, 2 * MiB + 512, 3 * MiB + 70_000);
  bytes.fill(0xa5, SIZE - 1000);
  return bytes;
}

describe('other programs', () => {
  const bytes = content();
  const expected = sha256(bytes);
  let directory = '';
  const at = (name: string): string => join(directory, name);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-others-'));
    writeFileSync(at('disk.raw'), bytes);
    for (const { name, options } of IMAGES) {
      const format = name.endsWith('vhd') ? 'vpc' : (name.split('.')[1] as string);
      const source = { filename: at('disk.raw'), format: 'raw' };
      await convert({ source, target: { filename: at(name), format }, options }, { implicitOpen: 'allow' });
    }
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const noSevenZip = lackOf(['7zz'], '7zip');
  it.skipIf(noSevenZip !== undefined).each(IMAGES)(`7-Zip reads $name${because(noSevenZip)}`, ({ name }) => {
    const read = execFileSync('7zz', ['e', '-so', at(name)], {
      maxBuffer: 2 * SIZE,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(sha256(read)).toBe(expected);
  });

  const known = IMAGES.filter(({ name }) => !name.endsWith('.vdi'));
  const noLibyal = lackOfModules('pyvhdi, pyvmdk', 'python3-libvhdi python3-libvmdk');
  it.skipIf(noLibyal !== undefined).each(known)(`libyal reads $name${because(noLibyal)}`, ({ name }) => {
    expect(execFileSync(PYTHON, ['-c', READER, at(name)], { encoding: 'utf8' })).toBe(`${expected}\n`);
  });

  const noStreams = lackOfModules('VMDKstream', 'python3-vmdkstream');
  it.skipIf(noStreams !== undefined)(`a stream of VMDKstream is read${because(noStreams)}`, async () => {
    const make = 'import sys, VMDKstream; VMDKstream.convert_to_stream(sys.argv[1], sys.argv[2])';
    execFileSync(PYTHON, ['-c', make, at('disk.raw'), at('made.vmdk')], { stdio: 'ignore' });
    const image = { filename: at('made.vmdk'), format: 'vmdk' };
    expect(await check({ image })).toMatchObject({ kind: 'clean' });
    await convert({ source: image, target: { filename: at('made.raw'), format: 'raw' } });
    expect(sha256(readFileSync(at('made.raw')))).toBe(expected);
  });
});
