# Formats that can only be read: damage behind good data is reported where the read began; odd fields that do no harm.
mkimg cloop a.cloop 1:4M
poke a.cloop 6468 0000
qemu-img convert -f cloop -O raw a.cloop o.raw
mkimg cloop b.cloop 1:4M
qemu-img compare -f cloop -F cloop a.cloop b.cloop
oracle-img create -q -f qcow a.qcow 64k
poke a.qcow 8 00000000ffffffff
qemu-img info -f qcow a.qcow | head -5
oracle-img create -q -f parallels -o cluster_size=64k a.hds 1M
run truncate -s 512 a.hds
qemu-img check -f parallels -r all a.hds
