# A base that is raw only because nothing else fits must not come to look like another format.
oracle-img create -q -f raw base.raw 1M
oracle-img create -q -f qcow -b base.raw -F raw t.qcow
qemu-io -f qcow -c 'write -P 1 0 64k' t.qcow
qemu-img commit t.qcow
oracle-img create -q -f qcow2 image.raw 1M
oracle-img convert -f raw -O qcow -n image.raw t.qcow
qemu-img commit t.qcow
peek base.raw 0 4
qemu-img dd -f raw if=image.raw of=base.raw
qemu-img convert -n --target-image-opts -f raw image.raw file.filename=base.raw
peek base.raw 0 4
