# Targets with space of their own: grains that cannot be replaced, flat extents, static VDI; and strict comparison with VHDX.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 100k' a.raw
oracle-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw s.vmdk
qemu-img convert -n -f raw -O vmdk a.raw s.vmdk
imgsum s.vmdk vmdk
qemu-img convert -c -f raw -O vmdk -o subformat=monolithicFlat a.raw f.vmdk
qemu-img convert -O vdi -o static=on a.raw a.vdi
oracle-img map --output json a.vdi
qemu-img convert -O vhdx -o block_size=1M a.raw a.vhdx
qemu-io -f raw -c 'write -P 1 500k 1k' a.raw
qemu-img compare -s -f vhdx -F raw a.vhdx a.raw
