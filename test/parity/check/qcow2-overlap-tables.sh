# Tables that lie over other metadata: the repair gives up, and leaves the refcounts as they were.
oracle-img create -q -f qcow2 -o refcount_bits=4 a.qcow2 4M
qemu-io -c 'write -P 1 0 256k' a.qcow2
poke a.qcow2 0x20001 21
poke a.qcow2 0x30000 8000000000008000
qemu-img check -r all a.qcow2
oracle-img check a.qcow2
oracle-img create -q -f qcow2 b.qcow2 4M
qemu-io -c 'write -P 1 0 256k' b.qcow2
poke b.qcow2 0x20010 0003
poke b.qcow2 0x30000 8000000000020000
qemu-img check -r all b.qcow2
oracle-img check b.qcow2
