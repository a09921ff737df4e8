# Zeroes are not stored in a base that has nothing else, except that zeroes in the cluster that an image ends in are data. What is below the base has to allow writing, too.
oracle-img create -q -f qcow2 base.qcow2 1M
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 1100k
qemu-io -c 'write -z 960k 140k' top.qcow2
qemu-img commit top.qcow2
extents base.qcow2 qcow2
qemu-io -c 'write -P 1 0 64k' base.qcow2
qemu-io -c 'write -z 960k 140k' top.qcow2
qemu-img commit top.qcow2
extents base.qcow2 qcow2
oracle-img create -q -f parallels bottom.hdd 1M
oracle-img create -q -f qcow2 -b bottom.hdd -F parallels middle.qcow2
oracle-img create -q -f qcow2 -b middle.qcow2 -F qcow2 last.qcow2
qemu-img commit last.qcow2
