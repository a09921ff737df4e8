# quorum over copies that fail: whose error it is, what is written, bitmaps and snapshots that it does not have.
for n in 0 1 2; do
  oracle-img create -q -f raw $n.raw 1M
  qemu-io -f raw -c 'write -P 1 0 64k' $n.raw
done
oracle-img create -q -f raw a.raw 1M
qemu-io -f raw -c 'write -P 7 0 256k' a.raw
bad() { echo "children.$1.driver=blkdebug,children.$1.image.driver=file,children.$1.image.filename=$1.raw,children.$1.inject-error.0.event=none,children.$1.inject-error.0.iotype=$2,children.$1.inject-error.0.errno=$3"; }
good() { echo "children.$1.driver=raw,children.$1.file.filename=$1.raw"; }
for kind in read write; do
  qemu-img bench -q -c 1 --image-opts "driver=quorum,vote-threshold=2,$(bad 0 $kind 28),$(good 1),$(good 2)" | grep -v Run
  qemu-img bench -q -c 1 --image-opts "driver=quorum,vote-threshold=2,$(bad 0 $kind 28),$(bad 1 $kind 5),$(good 2)" | grep -v Run
  qemu-img convert -n --target-image-opts -f raw a.raw "driver=quorum,vote-threshold=3,$(bad 0 $kind 28),$(good 1),$(good 2)"
done
filesum 0.raw
filesum 2.raw
qemu-img info --image-opts "driver=quorum,vote-threshold=1,read-pattern=fifo,$(bad 0 read 5),$(good 1)"
qemu-img snapshot -c s --image-opts "driver=quorum,vote-threshold=1,$(good 0)"
qemu-img amend -o size=1M --image-opts "driver=quorum,vote-threshold=1,$(good 0)"
