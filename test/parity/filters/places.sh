# Relative names of backing images count from the place of a file, through filters; where there are several copies, from nowhere.
oracle-img create -q -f qcow2 base.qcow2 1M
qemu-io -c 'write -P 1 0 64k' base.qcow2
oracle-img create -q -f qcow2 -b base.qcow2 -F qcow2 a.qcow2
cp a.qcow2 b.qcow2
: >log
quorum=driver=quorum,vote-threshold=1,children.0.driver=file,children.0.filename=a.qcow2,children.1.driver=file,children.1.filename=b.qcow2
twins=driver=blkverify,raw.driver=file,raw.filename=a.qcow2,test.driver=file,test.filename=b.qcow2
logged=driver=blklogwrites,file.driver=file,file.filename=a.qcow2,log.driver=file,log.filename=log
window=driver=raw,offset=0,file.driver=file,file.filename=a.qcow2
for graph in $quorum $twins $logged $window; do
  image=driver=qcow2,$(echo "$graph" | sed 's/^/file./; s/,/,file./g')
  qemu-img map --image-opts "$image"
  qemu-img info --image-opts "$image"
  qemu-img info --output=json --image-opts "$image"
  qemu-img info --backing-chain --image-opts "$image"
  qemu-img map --image-opts "$image,backing.driver=qcow2,backing.file.driver=file,backing.file.filename=base.qcow2"
done
# Not every format takes a backing image from its options.
for format in raw vdi parallels; do
  oracle-img create -q -f $format x.$format 1M
  qemu-img map --image-opts driver=$format,file.filename=x.$format,backing.driver=null-co,backing.size=1M
done
