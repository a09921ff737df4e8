# What an image in an export names is nowhere, unless it says the whole name.
oracle-img create -q -f qcow2 base.qcow2 1M
qemu-io -c 'write -P 1 0 64k' base.qcow2
truncate -s 4M t.raw
serve s.sock -f raw t.raw
oracle-img create -q -f qcow2 -u -b base.qcow2 -F qcow2 nbd:unix:s.sock 1M
qemu-img info nbd:unix:s.sock
qemu-img info --output=json nbd:unix:s.sock
qemu-img info --backing-chain nbd:unix:s.sock
qemu-img map nbd:unix:s.sock
qemu-img commit nbd:unix:s.sock
qemu-img convert -O raw nbd:unix:s.sock o.raw
qemu-img map --image-opts driver=qcow2,file.driver=nbd,file.path=s.sock,backing=
qemu-img map --image-opts driver=qcow2,file.driver=nbd,file.path=s.sock,backing.driver=qcow2,backing.file.filename=base.qcow2
qemu-img rebase -b base.qcow2 -F qcow2 nbd:unix:s.sock
oracle-img create -q -f qcow2 -b nbd:unix:s.sock -F raw top.qcow2
for option in driver=nbd driver=nbd,backing.export=x driver=null-co driver=raw; do
  qemu-img map --image-opts driver=qcow2,file.filename=top.qcow2,backing.$option
done
