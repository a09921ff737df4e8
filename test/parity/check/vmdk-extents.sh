# Extents of VMDK that begin behind the end of their file, and files of extents that are empty.
oracle-img create -q -f vmdk -o subformat=monolithicFlat a.vmdk 1M
run sed -i 's/^RW .*/RW 100 FLAT "a-flat.vmdk" 2047\nRW 100 FLAT "a-flat.vmdk" 2048/' a.vmdk
qemu-img check a.vmdk
run truncate -s 2M a-flat.vmdk
qemu-img check a.vmdk
oracle-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse b.vmdk 1M
run truncate -s 0 b-s001.vmdk
qemu-img info b.vmdk
