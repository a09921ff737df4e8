import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

const SECRET = '--object secret,id=key,data=123456';

/** Positions and bytes to change in an image with clusters 0, 1 and one of the second L2 table in use. */
const DAMAGE: readonly (readonly [at: number, bytes: string])[] = [
  [0, '58'],
  [7, '02'],
  [0x20, '08'],
  [0x21, '0e'],
  [0x24, '00000002'],
  [0x18, '0000000000000001'],
  [0x18, 'ffffffffffffffff'],
  [0x28, 'ff000000007f0000'],
  [0x08, '000000000000003000000400'],
  [0x30, '8000000000001000'],
  [0x30, '00000000007f0000'],
  [0x1000, '00000000007f2000'],
  [0x1000, '0000000000002001'],
  [0x1000, '8000000000002000'],
  [0x1000, '8108000000002000'],
];

describeWithOracle('qcow images', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f raw base.raw 1M');
      await real('qemu-img', 'create -q -f raw r.raw 4M');
      await real('qemu-io', "-f raw -c 'write -P 1 0 128k' -c 'write -P 2 3M 512' r.raw");
      await real('qemu-img', 'create -q -f qcow good.qcow 4M');
      await real('qemu-io', "-f qcow -c 'write -P 1 0 8k' -c 'write -P 2 3M 512' good.qcow");
      await real('qemu-img', 'create -q -f qcow -b base.raw -F raw top.qcow 2M');
      await real('qemu-io', "-f qcow -c 'write -P 3 100k 700' top.qcow");
      const key = '-o encrypt.format=aes,encrypt.key-secret=key';
      await real('qemu-img', `convert ${SECRET} -f raw -O qcow ${key} r.raw secret.qcow`);
    });
  });
  afterAll(() => both.end());

  it('are created alike, byte by byte', async () => {
    const problems: unknown[] = [];
    const keys = ['', 'encryption=on', 'encrypt.format=aes', 'encrypt.format=luks', 'encrypt.key-secret=key'];
    const given = [...keys, 'encrypt.format=aes,encrypt.key-secret=key', 'encrypt.format=aes,encrypt.key-secret=none'];
    const options = [
      ...given.map((text) => (text === '' ? '' : `-o ${text}`)),
      '-b base.raw -F raw',
      '-u -b abcde -F raw',
    ];
    for (const option of options) {
      for (const size of ['0', '1', '64M']) {
        const line = `create -f qcow ${SECRET} ${option} new.qcow ${size}`;
        const { theirs, ours } = await both.ask(line);
        if (JSON.stringify(theirs) !== JSON.stringify(ours)) problems.push({ line, theirs, ours });
        if (theirs.code !== 0) continue;
        if (!both.sameBytes('new.qcow')) problems.push(line);
      }
    }
    expect(problems).toEqual([]);
  });

  it('are read alike, and refuse the same', async () => {
    const lines = ['good.qcow', 'top.qcow', 'secret.qcow'].flatMap((name) => [
      `info ${name}`,
      `info --output=json ${name}`,
      `map ${name}`,
      `map --output=json ${name}`,
      `compare -F raw ${name} r.raw`,
      `check ${name}`,
      `resize ${name} 20M`,
    ]);
    const open = 'driver=qcow,file.filename=secret.qcow';
    const locked = ['', ',encrypt.format=luks', ',encrypt.key-secret=none', ',encrypt.key-secret=key'].flatMap(
      (more) => [
        `info ${SECRET} --image-opts ${open}${more}`,
        `map --output=json ${SECRET} --image-opts ${open}${more}`,
        `convert ${SECRET} --image-opts ${open}${more} -O raw out.raw`,
      ],
    );
    expect(await both.differences([...lines, ...locked, 'compare out.raw r.raw', 'measure --size 1M -O qcow'])).toEqual(
      [],
    );
  });

  it('are refused or reported alike when they are damaged', async () => {
    const problems: unknown[] = [];
    for (const [at, bytes] of DAMAGE) {
      both.damage('good.qcow', 'bad.qcow', at, bytes);
      const lines = [
        'info -f qcow bad.qcow',
        'map -f qcow --output=json bad.qcow',
        'convert -f qcow -O raw bad.qcow o.raw',
      ];
      problems.push(...(await both.differences(lines)));
    }
    expect(problems).toEqual([]);
  });

  it('are read by the real tool when this one wrote them', async () => {
    const ours = both.path('ours');
    expect(await both.differences(['convert -f raw -O qcow r.raw out.qcow'])).toEqual([]);
    await SideBySide.real('qemu-img', 'compare -f qcow -F raw out.qcow r.raw', ours);
    // The real tool ends with code 1 here, although its image is right.
    const { ours: answer } = await both.ask('convert -c -f raw -O qcow r.raw packed.qcow');
    expect(answer).toEqual({ stdout: '', stderr: '', code: 0 });
    await SideBySide.real('qemu-img', 'compare -f qcow -F raw packed.qcow r.raw', ours);
    await SideBySide.real('qemu-io', "-f qcow -c 'write -P 9 3M 1k' -c 'read -P 1 0 128k' packed.qcow", ours);
    const key = '-o encrypt.format=aes,encrypt.key-secret=key';
    expect(await both.differences([`convert ${SECRET} -f raw -O qcow ${key} r.raw hidden.qcow`])).toEqual([]);
    const hidden = 'driver=qcow,file.filename=hidden.qcow,encrypt.key-secret=key';
    await SideBySide.real('qemu-img', `convert ${SECRET} --image-opts ${hidden} -O raw shown.raw`, ours);
    await SideBySide.real('qemu-img', 'compare -f raw -F raw shown.raw r.raw', ours);
  });
});
