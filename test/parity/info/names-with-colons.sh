# Files whose names look like a protocol or a description, with and without something that says what they are.
for name in json:x nbd:x file:x a:b; do
  oracle-img create -q -f qcow2 "./$name" 1M
  qemu-img info "./$name" | head -n 2
  qemu-img info --image-opts "driver=qcow2,file.driver=file,file.filename=$name"
  qemu-img info --image-opts "driver=file,filename=$name" | head -n 1
  qemu-img info --image-opts "driver=raw,size=512,file.filename=$name" | head -n 1
  qemu-img info "file:$name" | head -n 1
done
