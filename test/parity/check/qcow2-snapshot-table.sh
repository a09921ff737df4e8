# Snapshot tables that are in no place, too large, too many, or in an image that cannot have one.
oracle-img create -q -f qcow2 a.qcow2 1M
poke a.qcow2 64 0000000000000001
qemu-img check a.qcow2
poke a.qcow2 64 0000000000000000
qemu-io -c 'write -P 1 0 64k' a.qcow2
oracle-img snapshot -c one a.qcow2
oracle-img snapshot -c two a.qcow2
run cp a.qcow2 b.qcow2
poke a.qcow2 0x90024 7fffffff
qemu-img check -r all a.qcow2
poke b.qcow2 0x90024 00010000
qemu-img check b.qcow2
qemu-img check -r all b.qcow2
sound b.qcow2 qcow2
oracle-img create -q -f qcow2 -o data_file=d.raw c.qcow2 1M
qemu-io -c 'write -P 1 0 64k' -c 'write -z 0 64k' c.qcow2
poke c.qcow2 60 00000002
qemu-img check c.qcow2
qemu-img info --output=json c.qcow2 | grep -c snapshots
qemu-img map --output=json c.qcow2
