# Events of qcow2: what is printed, and what is left, when the next request fails once.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 256k' a.raw
oracle-img create -q -f qcow2 full.qcow2 1M
qemu-io -c 'write -P 3 0 256k' full.qcow2
opts() { echo "driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=t.qcow2,file.inject-error.0.once=on,file.inject-error.0.errno=28,file.inject-error.0.event=$1"; }
for event in write_aio l2_update l2_alloc_write refblock_load refblock_alloc cluster_alloc pwritev reftable_load l1_update; do
  oracle-img create -q -f qcow2 t.qcow2 1M
  qemu-img convert -n -f raw --target-image-opts a.raw "$(opts $event)"
  imgsum t.qcow2 qcow2
done
for event in read_aio l2_load reftable_load; do
  cp full.qcow2 t.qcow2
  qemu-img convert -O raw --image-opts "$(opts $event)" o.raw
  qemu-img map --image-opts "$(opts $event)"
done
for event in l1_grow_alloc_table l1_grow_write_table cluster_alloc; do
  cp full.qcow2 t.qcow2
  qemu-img resize --image-opts "$(opts $event)" 100G
done
cp full.qcow2 t.qcow2
qemu-img amend -o lazy_refcounts=on --image-opts "$(opts pwritev)"
