# Options in JSON count as what a user would have written for them: true is "on", null is nothing.
oracle-img create -q -f raw a.raw 1M
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":"a.raw","locking":true}}' | head -n 3
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":"a.raw","aio":true}}'
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":true}}'
qemu-img info 'json:{"driver":"raw","size":null,"file":{"driver":"file","filename":"a.qcow2"}}' | tail -n +2
qemu-img info 'json:{"driver":"raw","size":true,"file":{"driver":"file","filename":"a.qcow2"}}'
qemu-img info 'json:{"driver":"qcow2","overlap-check":false,"file":{"driver":"file","filename":"a.qcow2"}}'
qemu-img info 'json:{"driver":"qcow2","lazy-refcounts":1,"file":{"driver":"file","filename":"a.qcow2"}}'
qemu-img info 'json:{"driver":"vpc","force_size_calc":true,"file":{"driver":"file","filename":"a.qcow2"}}'
