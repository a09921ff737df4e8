# Bytes that are no UTF-8 in options and their values come back in messages as they are.
e=$(printf '\351')
qemu-img info "--f$e"
qemu-img info "-$e"
qemu-img info -é x
qemu-img "$e"
qemu-img create -f qcow2 -o "$e=1" a.qcow2 1M
qemu-img create -f "q$e" a.qcow2 1M
qemu-img create -f qcow2 -o "preallocation=$e" a.qcow2 1M
qemu-img info --image-opts "driver=raw,a$e=1,file.filename=x"
qemu-img info "n$e:x"
qemu-img create -q -f luks --object "secret,id=k,data=p$e" -o key-secret=k,iter-time=10 a.luks 1M
qemu-img create -q -f luks --object "secret,id=k,file=no$e" -o key-secret=k,iter-time=10 a.luks 1M
