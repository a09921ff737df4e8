# The preallocate filter: room is taken for what is written, and not for a size that is asked for.
options=prealloc-size=1M,prealloc-align=64k
for how in 4M '--preallocation=full 4M' '--preallocation=falloc 4M' '--preallocation=metadata 4M' '--shrink 512k'; do
  truncate -s 1M a.raw
  qemu-img resize -q --image-opts driver=preallocate,$options,file.driver=file,file.filename=a.raw $how
  run stat -c '%s %b' a.raw
  rm a.raw
done
oracle-img create -q -f qcow2 a.qcow2 4M
qemu-img bench -w -q -c 10 -s 64k --image-opts driver=qcow2,file.driver=preallocate,file.prealloc-size=1M,file.prealloc-align=64k,file.file.driver=file,file.file.filename=a.qcow2
run stat -c %s a.qcow2
sound a.qcow2 qcow2
