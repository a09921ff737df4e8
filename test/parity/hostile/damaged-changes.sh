# Damage that shows in the middle of a change: what is said, the exit code, and whether the image is marked.
oracle-img create -q -f qcow2 -o cluster_size=64k good.qcow2 1M
qemu-io -c 'write -P 1 0 64k' -c 'write -z 64k 64k' -c 'write -P 2 128k 64k' good.qcow2
try() {
  for step in 'resize --shrink a.qcow2 64k' 'resize --preallocation=metadata a.qcow2 3M' 'amend -o compat=0.10 a.qcow2' \
    'amend -o refcount_bits=32 a.qcow2' 'bitmap --add a.qcow2 b' 'bitmap --remove a.qcow2 b'; do
    cp good.qcow2 a.qcow2
    poke a.qcow2 "$@"
    qemu-img $step
    peek a.qcow2 72 8
  done
}
# The L1 table is at 0x30000, the L2 table at 0x40000, the refcount table at 0x10000, its block at 0x20000.
try 0x30000 8000000000040200
try 0x20008 0000
# No place for a bitmap, and none for the directory without one.
cp good.qcow2 a.qcow2
poke a.qcow2 0x10000 0000000000020200
qemu-img bitmap --add a.qcow2 b
peek a.qcow2 72 8
# A zero cluster with a place that cannot be is given up all the same.
cp good.qcow2 a.qcow2
poke a.qcow2 0x40008 0000000000000201
qemu-img resize --shrink a.qcow2 64k
peek a.qcow2 72 8
# Snapshots that hold what damaged refcounts call free.
oracle-img snapshot -c one good.qcow2
cp good.qcow2 a.qcow2
poke a.qcow2 0x20008 0000
qemu-img snapshot -d one a.qcow2
peek a.qcow2 72 8
cp good.qcow2 a.qcow2
poke a.qcow2 0x40000 0000000000050200
qemu-img snapshot -d one a.qcow2
peek a.qcow2 72 8
