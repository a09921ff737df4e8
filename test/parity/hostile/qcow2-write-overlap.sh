# Refcounts call metadata free, or an entry refers to it: nothing is written there, and the image is marked as corrupt.
oracle-img create -q -f qcow2 z.qcow2 1G
qemu-io -c 'write -P 1 0 128k' z.qcow2
oracle-img snapshot -c one z.qcow2
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20004 0000
qemu-img snapshot -c two a.qcow2
oracle-img info --output=json a.qcow2 | grep corrupt
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20008 0000
qemu-img snapshot -c two a.qcow2
run cp z.qcow2 a.qcow2
poke a.qcow2 0x2000e 0000
qemu-img resize a.qcow2 600G
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20010 0000
qemu-img snapshot -c two a.qcow2
oracle-img check a.qcow2
