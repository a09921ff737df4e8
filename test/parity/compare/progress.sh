# The last figure of the progress, and the warning about sizes in the middle of it.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 64k' a.raw
oracle-img convert -O qcow2 a.raw b.qcow2
qemu-io -c 'write -P 2 64k 64k' b.qcow2
qemu-img compare -p a.raw b.qcow2
oracle-img create -q -f raw long.raw 5000
oracle-img create -q -f raw none.raw 0
qemu-img compare -p long.raw none.raw
qemu-img compare -p -q long.raw none.raw
qemu-img check -q --output=json b.qcow2
