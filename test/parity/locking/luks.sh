# LUKS shares as raw images do: the guest's bytes have fixed places.
oracle-img create -q -f luks --object secret,id=s,data=x -o key-secret=s,iter-time=10 a.luks 1M
hold --object secret,id=s,data=x --image-opts driver=luks,key-secret=s,file.filename=a.luks
qemu-img info a.luks
qemu-img convert --object secret,id=s,data=x --image-opts -O raw driver=luks,key-secret=s,file.filename=a.luks b.raw
qemu-img map --object secret,id=s,data=x --output=json --image-opts driver=luks,key-secret=s,file.filename=a.luks
qemu-img resize --object secret,id=s,data=x --image-opts driver=luks,key-secret=s,file.filename=a.luks 2M
qemu-img amend --object secret,id=s,data=x --image-opts -o state=active,new-secret=s,iter-time=10 driver=luks,key-secret=s,file.filename=a.luks 2>&1 | tail -1
release
# Not even a reader may have it open while key slots change.
hold -r --object secret,id=s,data=x --image-opts driver=luks,key-secret=s,file.filename=a.luks
qemu-img amend --object secret,id=s,data=x --image-opts -o state=active,new-secret=s,iter-time=10 driver=luks,key-secret=s,file.filename=a.luks
release
