# The entry of a guest cluster leads into metadata, or to no cluster at all.
oracle-img create -q -f raw b.raw 1M
oracle-img create -q -f qcow2 -b b.raw -F raw a.qcow2
qemu-io -c 'write -P 1 0 128k' -c 'write -z 128k 64k' a.qcow2
run cp a.qcow2 c.qcow2
poke c.qcow2 0x40008 8000000000020000
qemu-img bench -q -w -c 1 -s 4096 -o 64k c.qcow2
oracle-img check c.qcow2
poke a.qcow2 0x40010 0000000000050201
qemu-img map a.qcow2
qemu-img convert -O raw a.qcow2 d.raw
