# Zeroes are not stored in a base without data, except in the cluster that the image ends in; preallocated space is data.
oracle-img create -q -f qcow2 base.qcow2 1M
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 1100k
qemu-io -c 'write -z 960k 140k' top.qcow2
qemu-img commit top.qcow2
extents base.qcow2 qcow2
qemu-io -c 'write -z 960k 140k' top.qcow2
oracle-img resize -q --preallocation=metadata top.qcow2 2M
qemu-img commit top.qcow2
extents base.qcow2 qcow2
sound base.qcow2 qcow2
