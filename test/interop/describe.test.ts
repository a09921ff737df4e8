/** info, map and measure beside the real program. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

/** JSON without the order of its keys; anything else as it is. */
function sorted(text: string): unknown {
  return text.startsWith('{') ? JSON.parse(text.replaceAll(': #', ': 0')) : text;
}

describeWithOracle('info, map and measure', () => {
  let both: SideBySide;
  beforeAll(async () => {
    both = new SideBySide();
    await both.prepare(async (real, directory) => {
      const image = (line: string): Promise<void> => real('qemu-img', line);
      const write = (line: string): Promise<void> => real('qemu-io', line);
      await image('create -q -f raw base.raw 1M');
      await write("-f raw -c 'write -P 1 0 300k' base.raw");
      await image('create -q -f qcow2 -b base.raw -F raw mid.qcow2 2M');
      await image('create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 3M');
      await write("-c 'write -P 3 2560k 64k' -c 'write -z 64k 64k' top.qcow2");
      await image('create -q -f qcow2 -o extended_l2=on sub.qcow2 1M');
      await write("-c 'write -P 1 2k 2k' -c 'write -z 10k 2k' -c 'write -P 2 64k 64k' sub.qcow2");
      await image('create -q -f qcow2 -o preallocation=metadata meta.qcow2 1M');
      await image('create -q -f qcow2 -o data_file=data.raw ext.qcow2 1M');
      await write("-c 'write -P 1 128k 64k' ext.qcow2");
      await image('create -q -f qcow2 -u -b nbd:localhost:1 -F raw remote.qcow2 1M');
      await image('create -q -f qcow2 -u -b json:{"driver":"raw","file":{"filename":"base.raw"}} -F raw json.qcow2 1M');
      await image('create -q -f qcow2 -u -b gone.qcow2 -F qcow2 orphan.qcow2 1M');
      await image('convert -c -O qcow2 base.raw packed.qcow2');
      await image('create -q -f luks --object secret,id=k,data=x -o key-secret=k,iter-time=10 a.luks 1M');
      writeFileSync(join(directory, 'json:odd'), 'abcde');
      writeFileSync(join(directory, 'odd'), 'abcde');
      writeFileSync(join(directory, 'é"\\\t\u0001.raw'), '');
      truncateSync(join(directory, 'odd'), 1000);
    });
  });
  afterAll(() => both.end());

  const CHAIN = 'driver=raw,file.driver=qcow2,file.file.filename=sub.qcow2';

  it('describes images alike', async () => {
    const names = [
      'base.raw',
      'top.qcow2',
      'sub.qcow2',
      'ext.qcow2',
      'remote.qcow2',
      'json.qcow2',
      'odd',
      'null-co://',
    ];
    const odd = [
      "'é\"\\\t\u0001.raw'",
      '-f file base.raw',
      '-f raw top.qcow2',
      'file:base.raw',
      '.',
      '-f qcow2 base.raw',
    ];
    const options = [
      CHAIN,
      'driver=file,filename=odd',
      'driver=raw,file.filename=odd,offset=512',
      'driver=raw,file.filename=odd,size=512',
      'size=512,offset=0,driver=raw,file.driver=qcow2,file.file.filename=sub.qcow2',
      'driver=qcow2,file.filename=top.qcow2,backing.driver=raw,backing.size=1M,backing.file.filename=base.raw',
      'driver=luks,key-secret=k,file.filename=a.luks',
      'driver=raw,size=4096,file.driver=null-co,file.size=1M,file.latency-ns=1',
      'driver=raw,zz=1,q=2,unknown=3,file.filename=odd',
      'driver=raw,file.zz=1,file.q=2,file.filename=odd',
      'driver=raw,file.filename=json:odd',
    ];
    const secret = '--object secret,id=k,data=x';
    const described = [...names, ...odd, ...options.map((text) => `${secret} --image-opts ${text}`)];
    const lines = described.flatMap((what) => [`info ${what}`, `info --limits ${what}`]);
    expect(await both.differences(lines)).toEqual([]);
    for (const what of described) {
      const { theirs, ours } = await both.ask(`info --output=json --limits ${what}`);
      expect({ ...ours, stdout: sorted(ours.stdout) }).toEqual({ ...theirs, stdout: sorted(theirs.stdout) });
    }
  });

  it('follows chains alike', async () => {
    const lines = ['top.qcow2', 'orphan.qcow2', '--image-opts driver=qcow2,file.filename=top.qcow2'];
    expect(await both.differences(lines.map((what) => `info --backing-chain ${what}`))).toEqual([]);
  });

  it('maps alike', async () => {
    const images = [
      'base.raw',
      'mid.qcow2',
      'top.qcow2',
      'sub.qcow2',
      'meta.qcow2',
      'ext.qcow2',
      'packed.qcow2',
      'odd',
    ];
    const windows = ['-s 512 -l 700', '-s 513 -l 1', '-s 513 -l 0', '-s 2M', '-s 4M', '-l 100k'];
    const lines = [
      ...images.flatMap((name) => [`map ${name}`, `map --output=json ${name}`]),
      ...windows.map((window) => `map --output=json ${window} top.qcow2`),
      `map --image-opts ${CHAIN}`,
      'map gone',
    ];
    expect(await both.differences(lines)).toEqual([]);
  });

  it('measures alike', async () => {
    const options = ['preallocation=full', 'nocow=junk', 'cluster_size=x', 'cluster_size=3k', 'size=4M', 'bogus=1'];
    const lines = [
      ...['raw', 'qcow2'].flatMap((format) => ['0', '1000', '1G', '7E'].map((size) => `-O ${format} --size ${size}`)),
      ...options.map((option) => `-O qcow2 -o ${option} --size 1M`),
      '-O raw -o preallocation=junk --size 1M',
      '-O nothing --size 1M',
      '-O nothing gone',
      '-O file --size 1M',
      '-O qcow2 base.raw',
      '-O qcow2 -o cluster_size=4k base.raw',
      '-O raw packed.qcow2',
      '-l x base.raw',
    ];
    expect(await both.differences(lines.map((line) => `measure ${line}`))).toEqual([]);
  });
});
