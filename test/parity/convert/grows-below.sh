# What a format writes behind the end of its file makes the file larger, through nodes that stand between them, too.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 256k 64k' -c 'write -P 2 1000k 24k' a.raw
oracle-img create -q -f qcow2 b.qcow2 1M
qemu-img convert -n -f raw -O qcow2 a.raw blkdebug::b.qcow2
imgsum b.qcow2 qcow2
oracle-img create -q -f vdi b.vdi 1M
qemu-img convert -n --target-image-opts -f raw a.raw driver=vdi,file.driver=raw,file.file.driver=file,file.file.filename=b.vdi
imgsum b.vdi vdi
