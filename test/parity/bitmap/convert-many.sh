# Bitmaps are copied from the last to the first, and stored in their old order.
oracle-img create -q -f qcow2 a.qcow2 1M
for name in one two three; do
  oracle-img bitmap --add a.qcow2 $name
done
qemu-img convert --bitmaps -O qcow2 a.qcow2 b.qcow2
oracle-img info b.qcow2 | grep name:
oracle-img create -q -f qcow2 c.qcow2 2M
qemu-img convert --bitmaps -n -O qcow2 a.qcow2 c.qcow2
oracle-img create -q -f qcow2 d.qcow2 1M
oracle-img bitmap --add d.qcow2 two
qemu-img convert --bitmaps -n -O qcow2 a.qcow2 d.qcow2
oracle-img info d.qcow2 | grep name:
