# Names of bitmaps are bytes: two that differ in one byte above 0x7f are two.
a=$(printf 'b\351') b=$(printf 'b\350')
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-img bitmap --add a.qcow2 "$a"
qemu-img bitmap --add a.qcow2 "$b"
qemu-img bitmap --add a.qcow2 "$a"
qemu-img bitmap --merge "$a" a.qcow2 "$b"
qemu-img bitmap --remove a.qcow2 "$(printf 'b\352')"
qemu-img bitmap --disable a.qcow2 "$a"
oracle-img info a.qcow2 | grep -v 'file length'
qemu-img convert --bitmaps -O qcow2 a.qcow2 "$(printf 'c\351')"
oracle-img info "$(printf 'c\351')" | grep -v 'file length'
