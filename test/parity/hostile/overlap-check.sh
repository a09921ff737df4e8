# Refcounts call metadata free: which of it writes are kept off is chosen.
oracle-img create -q -f qcow2 z.qcow2 1G
qemu-io -c 'write -P 1 0 128k' z.qcow2
oracle-img snapshot -c one z.qcow2
qemu-io -c 'write -P 2 0 64k' z.qcow2
oracle-img create -q -f raw s.raw 1G
qemu-io -f raw -c 'write -P 3 64M 64k' s.raw
# The L2 table of the snapshot.
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20008 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=all
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20008 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check.inactive-l2=on
# The L1 table of the snapshot.
run cp z.qcow2 a.qcow2
poke a.qcow2 0x2000e 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=cached
run cp z.qcow2 a.qcow2
poke a.qcow2 0x2000e 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=constant
run cp z.qcow2 a.qcow2
poke a.qcow2 0x2000e 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check.template=all,overlap-check.inactive-l1=off
# The snapshot table.
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20010 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=constant
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20010 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=none
# The header.
run cp z.qcow2 a.qcow2
poke a.qcow2 0x20000 0000
qemu-img convert -n --target-image-opts s.raw driver=qcow2,file.filename=a.qcow2,overlap-check=constant
qemu-img info --image-opts driver=qcow2,file.filename=z.qcow2,overlap-check=all,overlap-check.template=none
qemu-img info --image-opts driver=qcow2,file.filename=z.qcow2,overlap-check.template=some
