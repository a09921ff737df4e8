# Raw over an overlay: what its backing image has is read, but neither mapped nor compared.
oracle-img create -q -f qcow2 base.qcow2 4M
qemu-io -c 'write -q -P 9 0 1M' base.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 a.qcow2
qemu-io -c 'write -q -P 1 512k 256k' a.qcow2
for image in driver=raw,file.driver=qcow2,file.file.filename=a.qcow2 driver=raw,offset=512k,file.driver=qcow2,file.file.filename=a.qcow2; do
  qemu-img map --output=json --image-opts $image
  qemu-img map --image-opts $image
  qemu-img convert -O raw --image-opts $image a.raw
  imgsum a.raw raw
  qemu-img convert -O qcow2 --image-opts $image b.qcow2
  imgsum b.qcow2 qcow2
  qemu-img compare --image-opts $image driver=raw,file.filename=a.raw
  qemu-img measure -O qcow2 --image-opts $image
done
# What is said twice, and an empty log that is gone on with.
qemu-img info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"},"file.filename":"base.qcow2"}'
: >log
qemu-img info 'json:{"driver":"blklogwrites","file":{"driver":"file","filename":"a.raw"},"log":{"driver":"file","filename":"log"},"log-append":true}'
