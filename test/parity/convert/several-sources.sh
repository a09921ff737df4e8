# What may and what may not be asked for together with several sources.
oracle-img create -q -f qcow2 s.qcow2 1M
qemu-io -c 'write -P 1 0 64k' s.qcow2
oracle-img snapshot -c snap s.qcow2
qemu-io -c 'write -P 2 0 64k' s.qcow2
oracle-img create -q -f raw r.raw 64k
qemu-img convert -l snap s.qcow2 r.raw out.raw
qemu-img convert -l snapshot.name=snap s.qcow2 s.qcow2 out.raw
filesum out.raw
qemu-img convert -l snapshot.name=snap r.raw s.qcow2 out.raw
qemu-img convert -n -B s.qcow2 r.raw s.qcow2 missing.raw
