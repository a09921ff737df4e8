# Names of snapshots are bytes: two that differ in one byte above 0x7f are two, and long ones are cut at 255 bytes.
a=$(printf 's\351') b=$(printf 's\350')
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-img snapshot -c "$a" a.qcow2
qemu-img snapshot -c "$b" a.qcow2
qemu-img snapshot -c "$(printf '%0254d\303\251' 0)" a.qcow2
qemu-img snapshot -l a.qcow2
qemu-img convert -l "snapshot.name=$b" -O raw a.qcow2 a.raw
qemu-img snapshot -a "$(printf 's\352')" a.qcow2
qemu-img snapshot -d "$a" a.qcow2
oracle-img snapshot -l a.qcow2
qemu-img info --output=json a.qcow2 | grep -a '"name"'
