# Zeroes in an overlay whose backing image is left closed, or ends early; a backing image as the target.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 256k 64k' -c 'write -P 0 640k 100k' a.raw
oracle-img create -q -f raw base.raw 512k
qemu-io -f raw -c 'write -P 7 0 512k' base.raw
oracle-img create -q -f qcow2 -b base.raw -F raw t.qcow2 1M
qemu-img convert -n -f raw -O qcow2 a.raw t.qcow2
imgsum t.qcow2 qcow2
qemu-img convert -f raw -O qcow2 -B base.raw -F raw a.raw u.qcow2
extents u.qcow2 qcow2
qemu-img convert -S 0 -f raw -O qcow2 -B base.raw -F raw a.raw u.qcow2
extents u.qcow2 qcow2
qemu-img convert -O raw t.qcow2 base.raw
filesum base.raw
