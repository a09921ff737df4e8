# With subclusters, less than a cluster can hide what the new backing file has.
oracle-img create -q -f qcow2 base.qcow2 512k
qemu-io -c 'write -P 1 64k 256k' base.qcow2
oracle-img create -q -f qcow2 -o cluster_size=128k,extended_l2=on top.qcow2 512k
qemu-img rebase -b base.qcow2 -F qcow2 top.qcow2
extents top.qcow2 qcow2
imgsum top.qcow2 qcow2
sound top.qcow2 qcow2
