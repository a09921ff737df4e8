# The name of a data file counts from the working directory; a cluster that becomes zero as a whole; a backing node.
run mkdir s
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 256k 64k' a.raw
qemu-img convert -O qcow2 -o data_file=e.raw a.raw s/c.qcow2
run ls . s
qemu-img convert -n -O qcow2 a.raw s/c.qcow2
extents s/c.qcow2 qcow2
run mv e.raw s
qemu-img map s/c.qcow2
oracle-img create -q -f qcow2 b.qcow2 1M
qemu-img map --image-opts driver=qcow2,file.filename=b.qcow2,backing=null
