# Compressed clusters are stored where the image has none yet.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 512k' a.raw
oracle-img create -q -f qcow2 c.qcow2 1M
qemu-io -c 'write -z -u 0 64k' c.qcow2
qemu-img convert -n -c -f raw -O qcow2 a.raw c.qcow2
qemu-img convert -n -c -f raw -O qcow2 a.raw c.qcow2
imgsum c.qcow2 qcow2
sound c.qcow2 qcow2
