# force-share of a child counts for that child, and names of nodes are unique.
oracle-img create -q -f qcow2 a.qcow2 1M
o=driver=qcow2,file.filename=a.qcow2
qemu-img info --image-opts $o,file.force-share=on | head -n 2
qemu-img resize --image-opts $o,file.force-share=on 2M
qemu-img info -U --image-opts $o,force-share=yes
qemu-img info -U 'json:{"driver":"qcow2","force-share":false,"file":{"driver":"file","filename":"a.qcow2"}}' | head -n 2
qemu-img check --image-opts $o,node-name=a,file.node-name=a
qemu-img compare --image-opts $o,node-name=a $o,node-name=a
qemu-img resize null-co:// 2G
qemu-img info -f null-aio null-co://
qemu-img map --output=json null-co://
