# A data file holds whole clusters.
oracle-img create -q -f qcow2 -o data_file=a.data,data_file_raw=on a.qcow2 1M
qemu-img resize a.qcow2 1100k
run stat -c %s a.data
oracle-img create -q -f qcow2 -o data_file=b.data b.qcow2 1M
qemu-img resize b.qcow2 1100k
run stat -c %s b.data
qemu-img resize --preallocation=metadata b.qcow2 1200k
run stat -c %s b.data
