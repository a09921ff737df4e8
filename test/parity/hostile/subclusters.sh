# Impossible subclusters behind sound ones.
oracle-img create -q -f qcow2 -o extended_l2=on a.qcow2 1M
qemu-io -c 'write -P 1 0 64k' a.qcow2
poke a.qcow2 0x40010 00000000000000000000000000000001
qemu-img convert -O raw a.qcow2 x.raw
qemu-img map --output=json a.qcow2
