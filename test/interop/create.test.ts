import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { SideBySide } from '../support/sideBySide.ts';

describeWithOracle('create', () => {
  let both: SideBySide;
  beforeEach(async () => {
    both = new SideBySide();
    await both.prepare(async (real) => {
      await real('qemu-img', 'create -q -f raw base.raw 2M');
      await real('qemu-img', 'create -q -f qcow2 base.qcow2 2M');
      await real('qemu-img', 'create -q -f qcow2 -u -b gone -F raw orphan.qcow2 2M');
    });
  });
  afterEach(() => both.end());

  it('says the same about options', async () => {
    const options = [
      'nocow=on,extent_size_hint=2M,size=5M,keep_data_file=off,data_file_raw=off',
      'cluster_size=4k,cluster_size=8k',
      'cluster_size=4k -o cluster_size=8k',
      'cluster_size=0',
      'cluster_size=-1',
      'cluster_size=1.5k',
      'cluster_size=abc',
      'cluster_size',
      'refcount_bits=abc',
      'refcount_bits=-1',
      'refcount_bits=0x10',
      'refcount_bits=99999999999999999999999',
      'lazy_refcounts',
      'nolazy_refcounts',
      'lazy_refcounts=maybe',
      'nosuch',
      'bogus=1',
      'help=1',
      'preallocation=some',
      'preallocation=metadata,nocow=off',
      'compression_type=zstd,extended_l2=on',
      'compat=0.10,refcount_bits=1',
      'data_file_raw=on',
    ];
    expect(await both.differences(options.map((list) => `create -f qcow2 -o ${list} a.qcow2 1M`))).toEqual([]);
  });

  it('says the same about backing images', async () => {
    const lines = [
      'create -f qcow2 -b base.qcow2 -F qcow2 base.qcow2',
      'create -f qcow2 -o backing_file=base.raw -b base.qcow2 -F qcow2 x',
      'create -f qcow2 -o backing_fmt=raw -b base.qcow2 -F qcow2 x',
      'create -f raw -b base.raw -F raw x',
      'create -f raw -F raw x 1M',
      'create -f qcow2 -F raw x 1M',
      'create -f qcow2 -F raw x',
      'create -f qcow2 -F junk x 1M',
      "create -f qcow2 -b '' -F raw x 1M",
      'create -f qcow2 -u -b base.raw x 1M',
      'create -f qcow2 -u -b base.raw -F junk x 1M',
      'create -f qcow2 -u -b base.raw -F raw x',
      'create -f qcow2 -b nope -F raw x 1M',
      'create -f qcow2 -b nope x 1M',
      'create -f qcow2 -b base.raw x 1M',
      'create -f qcow2 -b base.qcow2 x',
      "create -f qcow2 -b base.qcow2 -F '' x",
      'create -f qcow2 -b orphan.qcow2 -F qcow2 x',
      'create -f qcow2 -b base.raw -F file x',
      'create -f qcow2 -b base.raw -F host_device x',
      'create -f qcow2 -b foo:x -F raw x',
      'create -f qcow2 -b base.raw -F raw sub/x',
      'create -f qcow2 -b base.raw -F raw -o preallocation=metadata x',
      'create -f qcow2 -b base.raw -F raw x 1000',
      'create -f qcow2 -u -b base,x -F raw x 1M',
      "create -f qcow2 -u -b 'a b' -F raw 'x y' 1M",
    ];
    expect(await both.differences(lines)).toEqual([]);
  });

  it('says the same about names and sizes', async () => {
    const lines = [
      'create -f raw -o size=3M x 4M',
      'create -f qcow2 -o size=junk x 4M',
      'create -f qcow2 -o size=-1 x',
      'create -f raw x 7E',
      'create -f raw x 1E',
      'create -f qcow2 /nodir/x 1M',
      'create -f raw /nodir/x 1M',
      'create -f raw . 1M',
      "create -f raw '' 1M",
      'create -f qcow2 foo:bar 1M',
      'create -f raw null-co:// 1M',
      'create -f raw json:{} 1M',
      'create -f raw file:y.raw 1M',
      'create -f file z.raw 1M',
      'create -f host_device z.raw 1M',
      'create -f null-co z.raw 1M',
      'create -f raw host_device:y.raw 1M',
      'create -f raw /dev/null 64k',
      'create -f nothing foo:x',
      'create -f raw -o preallocation=junk x 1M',
      'create -f raw -o preallocation=full,nocow=off x 1M',
      'create -f raw x 1000',
    ];
    expect(await both.differences(lines)).toEqual([]);
  });

  it('writes the same bytes', async () => {
    for (const options of ['', '-o cluster_size=512', '-o compat=0.10', '-b base.raw -F raw', '-o refcount_bits=1']) {
      expect(await both.differences([`create -f qcow2 ${options} same.qcow2 3M`])).toEqual([]);
      expect({ options, same: both.sameBytes('same.qcow2') }).toEqual({ options, same: true });
    }
  });
});
