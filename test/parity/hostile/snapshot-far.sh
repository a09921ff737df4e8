# A snapshot whose L1 table is where no file reaches.
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-io -c 'write -P 1 0 64k' a.qcow2
oracle-img snapshot -c one a.qcow2
poke a.qcow2 458752 7fffffffffff0000
qemu-img check a.qcow2
qemu-img snapshot -a one a.qcow2
qemu-img snapshot -d one a.qcow2
qemu-img snapshot -l a.qcow2
