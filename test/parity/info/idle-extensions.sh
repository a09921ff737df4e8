# Header extensions that the image does not use: a data file without its bit, an empty backing format.
oracle-img create -q -f qcow2 -o data_file=d.raw a.qcow2 1M
poke a.qcow2 72 0000000000000000
qemu-img info a.qcow2
qemu-img info --output=json a.qcow2
oracle-img create -q -f raw base.raw 1M
oracle-img create -q -f qcow2 -b base.raw -F raw b.qcow2
poke b.qcow2 116 00000000
qemu-img info b.qcow2
