# Names of nodes that options say: children, windows, a second image, names with more beside them, circles.
oracle-img create -q -f raw a.raw 1M
oracle-img create -q -f qcow2 base.qcow2 1M
qemu-io -c 'write -P 1 0 64k' base.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
qemu-img info --image-opts driver=blkverify,raw.driver=file,raw.filename=a.raw,raw.node-name=x,test.driver=raw,test.file=x
qemu-img compare --image-opts driver=raw,file.filename=a.raw,file.node-name=x driver=raw,file=x
qemu-img compare --image-opts driver=raw,node-name=y,file.filename=a.raw y
qemu-img convert --image-opts -O raw driver=qcow2,node-name=y,file.filename=base.qcow2 driver=raw,file=y o.raw
filesum o.raw
qemu-img map --output=json --image-opts driver=qcow2,file.filename=top.qcow2,file.node-name=f,backing=f
qemu-img info --image-opts driver=qcow2,file=x,file.foo=1
qemu-img info --image-opts driver=qcow2,node-name=me,file.filename=top.qcow2,backing=me
qemu-img map --image-opts driver=qcow2,node-name=me,file.filename=top.qcow2,backing=me
qemu-img info 'json:{"driver":"quorum","vote-threshold":1,"children":"x"}'
qemu-img info -f blkdebug a.raw
