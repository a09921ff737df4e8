# Snapshots and sparse copies as sources, backing files, formats that know bitmaps, and names of versions.
oracle-img create -q -f qcow2 a.qcow2 1M
oracle-img bitmap --add a.qcow2 b0
oracle-img snapshot -c snap a.qcow2
qemu-img measure -O qcow2 -l snapshot.name=snap a.qcow2
qemu-img measure -O qcow2 -o compat=v3 a.qcow2
qemu-img measure -O qcow2 -o backing_file=x,backing_fmt=raw a.qcow2
oracle-img create -q -f parallels p.parallels 1M
qemu-img measure -O qcow2 p.parallels
oracle-img create -q -f qcow2 -o preallocation=metadata,data_file=d.raw d.qcow2 1M
run cp --sparse=always d.qcow2 copy.qcow2
qemu-img measure -O qcow2 copy.qcow2
qemu-img measure -O qcow2 d.qcow2
oracle-img create -q -f qed e.qed 1M
qemu-img info --limits e.qed
