# Sizes beyond those of disks, and data files that cannot be kept.
qemu-img create -f qcow2 a.qcow2 9223372036854775807
qemu-img create -f qcow2 a.qcow2 9223372036854774784
qemu-img create -f qcow2 -o keep_data_file=on,data_file=missing.raw a.qcow2 1M
oracle-img create -q -f raw d.raw 1M
qemu-img create -f qcow2 -o keep_data_file=on,data_file=d.raw a.qcow2 1M
qemu-img create -f qcow2 -o keep_data_file=on,data_file=d.raw,preallocation=full a.qcow2 1M
run ls
