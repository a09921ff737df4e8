# A new area over a backing file that reaches into it: hidden, filled or refused.
oracle-img create -q -f raw base.raw 4M
qemu-io -f raw -c 'write -P 1 0 4M' base.raw
oracle-img create -q -f qcow2 -b base.raw -F raw -o compat=0.10 old.qcow2 1090k
qemu-img resize old.qcow2 1100k
qemu-img resize old.qcow2 2M
qemu-img resize --preallocation=falloc old.qcow2 2M
extents old.qcow2 qcow2
imgsum old.qcow2 qcow2
oracle-img create -q -f qcow2 -b base.raw -F raw -o extended_l2=on sub.qcow2 1090k
qemu-img resize sub.qcow2 2M
extents sub.qcow2 qcow2
imgsum sub.qcow2 qcow2
oracle-img create -q -f qed -b base.raw -F raw a.qed 1M
qemu-img resize -f qed a.qed 2M
oracle-img create -q -f qcow2 -b base.raw -F raw recorded.qcow2 1090k
oracle-img bitmap --add recorded.qcow2 b
qemu-img resize --preallocation=metadata recorded.qcow2 2M
extents recorded.qcow2 qcow2
dirty recorded.qcow2 b
