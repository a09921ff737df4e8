# Sizes and places in the header at the limits of 64-bit numbers.
oracle-img create -q -f qcow2 a.qcow2 1M
poke a.qcow2 24 ffffffffffffffff
qemu-img info a.qcow2
poke a.qcow2 24 0000000020000001
qemu-img info a.qcow2
poke a.qcow2 24 0000000000100000
poke a.qcow2 40 7fffffffffff0000
qemu-img check a.qcow2
poke a.qcow2 40 7fffffff00000000
qemu-img check a.qcow2
poke a.qcow2 40 0000000000030000
poke a.qcow2 48 7ffffffffffe0000
qemu-img info a.qcow2
poke a.qcow2 48 0000000000010000
poke a.qcow2 32 ffffffff
qemu-img check a.qcow2
oracle-img create -q -f qcow2 b.qcow2 1M
run truncate -s 131080 b.qcow2
qemu-img check b.qcow2
