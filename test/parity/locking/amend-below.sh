# Amending minds writers of the image itself, not those of a raw backing file or data file below it.
oracle-img create -q -f raw base.raw 1M
oracle-img create -q -f qcow2 -b base.raw -F raw top.qcow2
oracle-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on outside.qcow2 1M
hold -f raw base.raw
qemu-img amend -o lazy_refcounts=on top.qcow2
release
hold -f raw data.raw
qemu-img amend -o lazy_refcounts=on outside.qcow2
release
hold -f qcow2 top.qcow2
qemu-img amend -o lazy_refcounts=on top.qcow2
release
oracle-img info top.qcow2 | grep lazy
oracle-img info outside.qcow2 | grep lazy
