# The base of a VMDK overlay was written to: its content id is another one.
oracle-img create -q -f vmdk base.vmdk 1M
qemu-io -f vmdk -c 'write -P 1 0 100k' base.vmdk
oracle-img create -q -f vmdk -b base.vmdk -F vmdk t.vmdk
qemu-io -f vmdk -c 'write -P 2 0 1k' base.vmdk
qemu-img map --output json t.vmdk
qemu-img convert -O raw t.vmdk o.raw
qemu-img compare t.vmdk base.vmdk
qemu-img dd if=t.vmdk of=o.raw bs=64k count=1
qemu-img commit t.vmdk
imgsum base.vmdk vmdk
