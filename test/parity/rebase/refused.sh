# Formats that cannot be rebased; progress goes to the end before the new name is refused.
oracle-img create -q -f raw base.raw 1M
for format in vdi parallels; do
  oracle-img create -q -f $format a.$format 1M
  qemu-img rebase -f $format -p -u -b base.raw -F raw a.$format
done
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-img rebase -p -b base.raw a.qcow2
qemu-img rebase -p -b missing.raw -F raw a.qcow2
