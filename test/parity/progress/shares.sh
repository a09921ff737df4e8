# compare and rebase add up shares of the work: the last line, the rounding, images of the same chain, odd sizes.
steps() { tr '\r' '\n'; }
oracle-img create -q -f raw a.raw 64M
qemu-io -f raw -c 'write -P 1 0 3M' -c 'write -P 2 20M 8M' a.raw
oracle-img create -q -f raw b.raw 80M
qemu-io -f raw -c 'write -P 1 0 3M' -c 'write -P 2 20M 8M' -c 'write -P 0 65M 10M' b.raw
qemu-img compare -p -f raw -F raw a.raw b.raw | steps
qemu-img compare -p -s -f raw -F raw a.raw b.raw | steps
qemu-io -f raw -c 'write -P 5 27M 1M' b.raw
qemu-img compare -p -f raw -F raw a.raw b.raw | steps
oracle-img create -q -f raw e.raw 0
qemu-img compare -p -f raw -F raw e.raw e.raw | steps
truncate -s 1000 odd.raw
qemu-img compare -p -f raw -F raw odd.raw odd.raw | steps
qemu-img compare -p -f raw -F raw none.raw odd.raw | steps
oracle-img create -q -f qcow2 base.qcow2 600M
oracle-img create -q -f qcow2 new.qcow2 600M
qemu-io -c 'write -P 1 0 64k' new.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
qemu-img rebase -p -b new.qcow2 -F qcow2 top.qcow2 | steps
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 3M
qemu-img rebase -p -b new.qcow2 -F qcow2 top.qcow2 | steps
oracle-img create -q -f qcow2 -o cluster_size=512 -b base.qcow2 -F qcow2 top.qcow2 1M
qemu-img rebase -p -b new.qcow2 -F qcow2 top.qcow2 | steps
oracle-img create -q -f qcow2 a.qcow2 16M
oracle-img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
qemu-io -c 'write 6M 3M' b.qcow2
oracle-img create -q -f qcow2 -b b.qcow2 -F qcow2 c.qcow2
qemu-img rebase -p -b a.qcow2 -F qcow2 c.qcow2 | steps
qemu-img rebase -p -b a.qcow2 -F qcow2 c.qcow2 | steps
qemu-img rebase -p -b b.qcow2 -F qcow2 c.qcow2 | steps
qemu-img rebase -p -b a.qcow2 c.qcow2 | steps
