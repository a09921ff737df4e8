# Data files: their names count from where the user is, and holes of a new image do not count as preallocated.
run mkdir s
qemu-img create -f qcow2 -o data_file=x.raw s/x.qcow2 1M
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 100k 64k' a.raw
qemu-img convert -f raw -O qcow2 -o data_file=s/d.raw a.raw s/b.qcow2
oracle-img info s/b.qcow2 | grep 'data file'
filesum s/d.raw
run stat -c %s x.raw
qemu-img create -q -f qcow2 -o data_file=p.raw,preallocation=metadata d.qcow2 1M
extents d.qcow2 qcow2
qemu-img create -q -f qcow2 -o data_file=file:with:colon.raw c.qcow2 1M
oracle-img info c.qcow2 | grep 'data file:'
qemu-img map c.qcow2
