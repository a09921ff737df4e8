# Option trees with children in odd places, and names made from options.
oracle-img create -q -f qcow2 a.qcow2 1M
oracle-img create -q -f qcow2 -o data_file=d.raw d.qcow2 1M
oracle-img create -q -f raw r.raw 5000
qemu-img info --image-opts driver=qcow2,file.filename=file:a.qcow2
qemu-img info 'json:{"driver": "qcow2", "file": 5}'
qemu-img info 'json:{"driver": "qcow2", "file": [{"driver": "file", "filename": "a.qcow2"}]}'
qemu-img info --image-opts driver=qcow2,file.filename=a.qcow2,detect-zeroes=unmap
qemu-img info --image-opts driver=qcow2,file.filename=a.qcow2,node-name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
qemu-img info --image-opts driver=qcow2,file.filename=a.qcow2,data-file.filename=missing
qemu-img map --image-opts driver=qcow2,file.filename=a.qcow2,data-file.filename=r.raw
qemu-img info 'json:{"driver": "null-co", "size": "1M"}'
qemu-img info --image-opts driver=raw,offset=5000,file.filename=r.raw
qemu-img info --image-opts driver=raw,offset=6000,file.filename=r.raw
qemu-img info --image-opts driver=qcow2,file.filename=a.qcow2,cache-clean-interval=4294967296
