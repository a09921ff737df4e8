# Rebuilt refcounts do not hide a reference to a place of the new structure; wide counts are shown exactly.
oracle-img create -q -f qcow2 -o cluster_size=4k a.qcow2 64M
qemu-io -c 'write -P 1 0 256k' a.qcow2
poke a.qcow2 0x3008 0000000000000010
poke a.qcow2 0x2000 0000
qemu-img check -r all a.qcow2
oracle-img check a.qcow2
oracle-img create -q -f qcow2 -o refcount_bits=64 b.qcow2 4M
qemu-io -c 'write -P 1 0 64k' b.qcow2
poke b.qcow2 0x20028 fffffffffffffffe
qemu-img check b.qcow2
qemu-img check -r leaks --output=json b.qcow2
