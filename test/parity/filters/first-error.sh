# Where a read failed, how often that is said, and what of an image is told when it is closed after that.
oracle-img create -q -f qcow2 base.qcow2 4M
qemu-io -c 'write -q -P 9 0 1M' base.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 good.qcow2
qemu-io -c 'write -q -P 1 512k 256k' -c 'write -q -c -P 4 2M 64k' good.qcow2
oracle-img create -q -f raw src.raw 4M
qemu-io -f raw -c 'write -q -P 7 0 300k' src.raw
opts() { echo "driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=t.qcow2,file.inject-error.0.$1"; }
for rule in event=read_aio,file.inject-error.0.once=on event=read_backing_aio,file.inject-error.0.once=on; do
  cp good.qcow2 t.qcow2
  qemu-img convert -O raw --image-opts "$(opts $rule)" o.raw
  qemu-img dd --image-opts bs=64k count=20 if="$(opts $rule)" of=o.raw
  qemu-img commit --image-opts "$(opts $rule)"
  imgsum t.qcow2 qcow2
done
for rule in event=write_aio event=l2_alloc_write event=refblock_alloc event=cluster_alloc,file.inject-error.0.errno=28; do
  oracle-img create -q -f qcow2 t.qcow2 4M
  qemu-img bench -q -w -c 5 -d 1 -s 64k --image-opts "$(opts $rule)"
  imgsum t.qcow2 qcow2
done
oracle-img create -q -f qcow2 t.qcow2 4M
qemu-img convert -n --target-image-opts -f raw src.raw "$(opts event=cluster_alloc)"
imgsum t.qcow2 qcow2
