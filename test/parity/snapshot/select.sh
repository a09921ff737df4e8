# Snapshots by id and by name, as sources of a conversion.
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-io -c 'write -P 1 0 64k' a.qcow2
oracle-img snapshot -c 2 a.qcow2
qemu-io -c 'write -P 2 0 64k' a.qcow2
oracle-img snapshot -c two a.qcow2
qemu-io -c 'write -P 3 0 64k' a.qcow2
qemu-img convert -l 2 -O raw a.qcow2 by-name-or-id.raw
filesum by-name-or-id.raw
qemu-img convert -l snapshot.id=2 -O raw a.qcow2 by-id.raw
filesum by-id.raw
qemu-img convert -l snapshot.name=2 -O raw a.qcow2 by-name.raw
filesum by-name.raw
qemu-img convert -l snapshot.id=1,snapshot.name=two -O raw a.qcow2 both.raw
qemu-img convert -l snapshot.id=2,snapshot.name=two -O raw a.qcow2 both.raw
filesum both.raw
qemu-img convert -l snapshot.nme=2 -O raw a.qcow2 c.raw
qemu-img convert -l missing -O raw a.qcow2 c.raw
