# blkdebug: errors by kind of request and sector, in reading, salvaging, writing and asking for the status.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 512k' a.raw
oracle-img create -q -f raw t.raw 1M
file=driver=raw,file.driver=blkdebug,file.image.driver=file
from=$file,file.image.filename=a.raw,file.inject-error.0.event=none
to=$file,file.image.filename=t.raw,file.inject-error.0.event=none
two=$from,file.inject-error.0.iotype=read,file.inject-error.0.sector=100,file.inject-error.1.event=none,file.inject-error.1.iotype=read,file.inject-error.1.sector=300,file.inject-error.1.errno=28
qemu-img convert --salvage --image-opts -O raw $two o.raw
filesum o.raw
qemu-img convert --image-opts -O raw $two p.raw
two=$from,file.inject-error.0.iotype=block-status,file.inject-error.0.sector=100,file.inject-error.1.event=none,file.inject-error.1.iotype=block-status,file.inject-error.1.sector=1300
qemu-img convert --salvage --image-opts -O qcow2 $two o.qcow2
imgsum o.qcow2 qcow2
qemu-img map --output=json --image-opts $two
qemu-img convert -n --target-image-opts -f raw a.raw $to,file.inject-error.0.iotype=write,file.inject-error.0.errno=122
qemu-img convert -n --target-image-opts -f raw a.raw $to,file.inject-error.0.iotype=write,file.inject-error.0.errno=999
qemu-img convert -n --target-image-opts -f raw a.raw $to,file.inject-error.0.iotype=write,file.inject-error.0.errno=0
qemu-img compare --image-opts $from,file.inject-error.0.iotype=read,file.inject-error.0.once=on driver=raw,file.filename=a.raw
qemu-img info --image-opts $file,file.image.filename=a.raw,file.align=4k,file.max-transfer=64k
qemu-img convert --image-opts -O raw $file,file.image.filename=a.raw,file.align=4k,file.max-transfer=64k q.raw
filesum q.raw
qemu-img map --image-opts driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=o.qcow2
