# Of several mistakes the same one is named; progress ends at 100 also when nothing was done.
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-img amend -p -o data_file=x,backing_fmt=qed a.qcow2
qemu-img amend -o refcount_bits=7,data_file=x a.qcow2
qemu-img amend -o refcount_bits=7,backing_file=x a.qcow2
qemu-img amend -o data_file_raw=on,lazy_refcounts=on,compat=0.10 a.qcow2
qemu-img amend -o encrypt.state=active,compat=7 a.qcow2
qemu-img amend -o compat=0.10,lazy_refcounts=on a.qcow2
qemu-img amend -o size=8E a.qcow2
qemu-img amend -p -o bogus=1 a.qcow2
filesum a.qcow2
