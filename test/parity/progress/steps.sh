# Steps of -p: what the source's format and fragments make of them, compressed targets, several sources, overlays.
steps() { tr '\r' '\n'; }
oracle-img create -q -f raw a.raw 64M
qemu-io -f raw -c 'write -P 1 0 3M' -c 'write -P 2 20M 8M' -c 'write -P 3 63M 1M' a.raw
qemu-img convert -p -S 0 -f raw -O raw a.raw b.raw | steps
qemu-img convert -p -c -f raw -O qcow2 a.raw c.qcow2 | steps
qemu-img convert -p -c -o cluster_size=2M -f raw -O qcow2 a.raw d.qcow2 | steps
qemu-img convert -p -f raw -O raw a.raw a.raw b.raw | steps
oracle-img convert -f raw -O vdi a.raw a.vdi
qemu-img convert -p -f vdi -O raw a.vdi b.raw | steps
oracle-img convert -f raw -O vmdk a.raw a.vmdk
qemu-img convert -p -f vmdk -O raw a.vmdk b.raw | steps | tail -n 5
oracle-img convert -f raw -O vhdx a.raw a.vhdx
qemu-img convert -p -f vhdx -O raw a.vhdx b.raw | steps | tail -n 5
oracle-img create -q -f qcow2 -o cluster_size=4k e.qcow2 16M
qemu-io -c 'write -P 1 1M 4M' e.qcow2
qemu-img convert -p -O raw e.qcow2 b.raw | steps
oracle-img create -q -f qcow2 base.qcow2 64M
qemu-io -c 'write -P 1 0 6M' -c 'write -z 8M 2M' -c 'write -P 7 40M 8M' base.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
qemu-io -c 'write -P 2 3M 5M' -c 'write -z 42M 2M' -c 'write -P 3 60M 1M' top.qcow2
qemu-img convert -p -O qcow2 top.qcow2 f.qcow2 | steps
qemu-img convert -p -B base.qcow2 -F qcow2 -O qcow2 top.qcow2 f.qcow2 | steps
truncate -s 1000 odd.raw
qemu-img convert -p -f raw -O raw odd.raw b.raw | steps
qemu-img convert -p -f raw -O raw none.raw b.raw | steps
oracle-img create -q -f qcow2 -o extended_l2=on x.qcow2 8M
qemu-io -c 'write -P 1 0 3000' -c 'write -P 2 70k 500k' -c 'write -P 3 2222k 1500k' x.qcow2
qemu-img convert -p -O raw x.qcow2 b.raw | steps
for format in qcow2 qed parallels; do
  oracle-img create -q -f $format end.$format 8202k
  qemu-io -f $format -c 'write -P 1 7M 1034k' end.$format
  qemu-img convert -p -f $format -O raw end.$format b.raw | steps
done
