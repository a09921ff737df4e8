# Compressed clusters and grains that cannot be read, behind others that can: errors say where.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 512k' a.raw
oracle-img convert -c -f raw -O qcow2 a.raw a.qcow2
poke a.qcow2 0x40018 400000000fff0000
qemu-img convert -O raw a.qcow2 o.raw
qemu-img convert -c -O qcow2 a.qcow2 o.qcow2
qemu-img compare a.qcow2 a.raw
oracle-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw a.vmdk
poke a.vmdk 0x3604 01000000
qemu-img convert -O raw a.vmdk o.raw
qemu-img compare a.raw a.vmdk
