# Exports that can only be read, and exports that are too small, as images that are to be written.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 64k' a.raw
serve r.sock -r -f raw a.raw
for opts in read-only=off read-only=off,auto-read-only=on read-only=on; do
  qemu-img info --image-opts driver=nbd,path=r.sock,$opts
  qemu-img info --image-opts driver=raw,file.driver=nbd,file.path=r.sock,$opts
done
qemu-img map --image-opts driver=raw,file.driver=nbd,file.path=r.sock,file.read-only=off
oracle-img create -q -f qcow2 -b nbd:unix:r.sock -F raw top.qcow2
qemu-io -c 'write -P 2 0 64k' top.qcow2
qemu-img commit top.qcow2
imgsum top.qcow2 qcow2
unserve r.sock
serve r.sock -f raw a.raw
oracle-img resize -q top.qcow2 2M
qemu-img commit top.qcow2
qemu-img create -f raw -o preallocation=full nbd:unix:none.sock 1M
qemu-img create -f qcow2 nbd:unix:r.sock 64M
