# Holes of a new image do not say that its clusters are preallocated without data.
qemu-img create -q -f qcow2 -o data_file=p.raw,preallocation=metadata d.qcow2 1M
extents d.qcow2 qcow2
