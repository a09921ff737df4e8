# Files and sizes at the end of what can be addressed.
run truncate -s 9223372035781033984 most.raw
qemu-img info -f raw most.raw
qemu-img resize -f raw most.raw +1M
qemu-img resize -f raw most.raw +1G
run truncate -s 9223372036854774784 huge.raw
qemu-img info huge.raw
qemu-img convert -f raw -O qcow2 huge.raw out.qcow2
qemu-img resize -f raw huge.raw 1M
oracle-img create -q -f qcow2 -u -b huge.raw -F raw top.qcow2 1M
qemu-img map top.qcow2
qemu-img info 'json:{"driver":"null-co","size":9223372035781035008}'
run rm most.raw huge.raw
