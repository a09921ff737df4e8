# VMDK and VHDX whose structures would be where no file can have them, and a VMDK descriptor with blanks.
oracle-img create -q -f vmdk a.vmdk 1M
run cp a.vmdk b.vmdk
poke a.vmdk 0x40 ffffffffffffffff
qemu-img info a.vmdk
poke b.vmdk 0x30 ffffffffffffffff
qemu-img info b.vmdk
oracle-img create -q -f vmdk -o subformat=monolithicFlat c.vmdk 1M
run sed -i 's/^CID=/CID = /' c.vmdk
qemu-img info c.vmdk
run sed -i 's/^CID = .*/CID 1234567/; s/^parentCID=/parentCID /' c.vmdk
qemu-img info c.vmdk
oracle-img create -q -f vmdk -o subformat=streamOptimized d.vmdk 1M
poke d.vmdk 56 ffffffffffffffff
qemu-img info d.vmdk
run truncate -s 1024 d.vmdk
qemu-img info d.vmdk
