# Files that hold guest data only may be written elsewhere meanwhile, but neither resized nor copied.
oracle-img create -q -f vmdk -o subformat=monolithicFlat a.vmdk 1M
hold -f raw a-flat.vmdk
qemu-img info a.vmdk
qemu-img map --output=json a.vmdk
qemu-img convert -O raw a.vmdk a.raw
release
oracle-img create -q -f qcow2 -o data_file=d.raw b.qcow2 1M
hold -f raw d.raw
qemu-img resize b.qcow2 2M
qemu-img convert -O raw b.qcow2 b.raw
release
hold b.qcow2
qemu-img resize -f raw d.raw 3M
release
oracle-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse s.vmdk 1M
hold -f raw s-s001.vmdk
qemu-img info s.vmdk
release
