# copy-before-write and blklogwrites: what is written where, options that are wrong.
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 1 0 1M' a.raw
oracle-img create -q -f raw b.raw 1M
oracle-img create -q -f raw c.raw 1M
qemu-io -f raw -c 'write -P 5 0 64k' c.raw
w=driver=copy-before-write,file.driver=file,file.filename=a.raw,target.driver=file,target.filename=b.raw
qemu-img bench -q -w -c 1 -o 200k --image-opts $w | grep -v Run
filesum b.raw
qemu-img convert -n -f raw --target-image-opts c.raw $w
filesum a.raw
filesum b.raw
qemu-img info --image-opts $w
for o in cbw-timeout=x cbw-timeout=-1 min-cluster-size=x on-cbw-error=foo bitmap=z bitmap.node=x unk=1; do qemu-img info --image-opts $w,$o; done
qemu-img bench -q -w -c 1 --image-opts $w,min-cluster-size=100
qemu-img bench -q -w -c 1 --image-opts $w,bitmap.node=x,bitmap.name=y
qemu-img info --image-opts driver=copy-before-write,file.driver=null-co
oracle-img create -q -f raw log.raw 4M
l=driver=blklogwrites,file.driver=file,file.filename=a.raw,log.driver=file,log.filename=log.raw
qemu-img bench -q -w -c 4 -d 1 --flush-interval=1 --image-opts $l | grep -v Run
filesum log.raw
qemu-img bench -q -w -c 1 --image-opts $l,log-append=on | grep -v Run
filesum log.raw
qemu-img bench -q -w -c 1 --image-opts $l,log-sector-size=4096 | grep -v Run
filesum log.raw
