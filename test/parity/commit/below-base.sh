# What is below the base has to allow writing, too.
oracle-img create -q -f parallels bottom.hdd 1M
oracle-img create -q -f qcow2 -b bottom.hdd -F parallels middle.qcow2
oracle-img create -q -f qcow2 -b middle.qcow2 -F qcow2 last.qcow2
qemu-img commit last.qcow2
