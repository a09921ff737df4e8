# The last bytes of exports that end inside of a sector, comparing by what a bitmap says, and requests that are the kernel's.
truncate -s 511 a.raw
printf abcdef | dd of=a.raw conv=notrunc status=none
serve s.sock -f raw a.raw
qemu-img map --output=json nbd:unix:s.sock
qemu-img map nbd:unix:s.sock
qemu-img convert -O raw nbd:unix:s.sock o.raw
qemu-img compare -s nbd:unix:s.sock o.raw
qemu-img bench -c 10 -n nbd:unix:s.sock
unserve s.sock
oracle-img create -q -f qcow2 d.qcow2 1M
oracle-img bitmap --add -g 64k d.qcow2 b0
qemu-io -c 'write -P 1 128k 64k' d.qcow2
serve d.sock -r -B b0 -f qcow2 d.qcow2
dirty=driver=nbd,path=d.sock,x-dirty-bitmap=qemu:dirty-bitmap:b0
qemu-img compare --image-opts $dirty driver=nbd,path=d.sock
qemu-img compare --image-opts driver=nbd,path=d.sock $dirty
qemu-img compare --image-opts $dirty $dirty
