# What differs behind the end of the old backing file becomes zeroes, compressed or not.
oracle-img create -q -f raw old.raw 640k
oracle-img create -q -f raw new.raw 3M
qemu-io -f raw -c 'write -P 1 600k 200k' -c 'write -P 2 1M 4k' new.raw
for option in -q -c; do
  oracle-img create -q -f qcow2 -b old.raw -F raw a.qcow2 3M
  qemu-img rebase $option -b new.raw -F raw a.qcow2
  extents a.qcow2 qcow2
  imgsum a.qcow2 qcow2
done
