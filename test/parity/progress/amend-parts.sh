# amend -p with several things to do, and with one that is refused.
steps() { tr '\r' '\n'; }
oracle-img create -q -f qcow2 -o compat=0.10 a.qcow2 64M
qemu-io -c 'write -P 1 0 1M' a.qcow2
qemu-img amend -p -o compat=1.1,refcount_bits=64 a.qcow2 | steps
qemu-img amend -p -o compat=0.10,refcount_bits=16 a.qcow2 | steps
qemu-img amend -p -o compat=2 a.qcow2 | steps
qemu-img amend -p -o nonsense=2 a.qcow2 | steps
qemu-img amend -p -o size=80M a.qcow2 | steps
oracle-img create -q -f qcow2 b.qcow2 6G
qemu-io -c 'write -P 1 0 1M' -c 'write -z 2M 4M' -c 'write -z 5G 1M' b.qcow2
oracle-img snapshot -c one b.qcow2
qemu-io -c 'write -z 3000M 1M' b.qcow2
qemu-img amend -p -o compat=0.10 b.qcow2 | steps
oracle-img create -q -f qcow2 -o cluster_size=512 c.qcow2 64M
qemu-io -c 'write -P 1 0 2M' -c 'write -P 2 31M 2M' c.qcow2
qemu-img amend -p -o refcount_bits=64 c.qcow2 | steps
qemu-img amend -p -o refcount_bits=1 c.qcow2 | steps
