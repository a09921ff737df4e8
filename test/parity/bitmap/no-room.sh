# Bitmaps for which there is no room: what is lost is said, what was there stays, and nothing leaks.
limited() { run prlimit --fsize="$1" "$PARITY_PROGRAM" bitmap $2; }
oracle-img create -q -f qcow2 -o cluster_size=4k good.qcow2 8M
qemu-io -c 'write -P 1 0 64k' good.qcow2
for size in 86016 90112 94208 98304 102400; do
  cp good.qcow2 a.qcow2
  limited $size '--add a.qcow2 b0'
  sound a.qcow2 qcow2
done
