# Refcount blocks and L2 tables as far away as an offset can be.
oracle-img create -q -f qcow2 a.qcow2 1M
qemu-io -c 'write -P 1 0 128k' a.qcow2
try() {
  cp a.qcow2 bad.qcow2
  poke bad.qcow2 $1 $2
  qemu-img check bad.qcow2
  qemu-img check -r all bad.qcow2
  qemu-img convert -O raw bad.qcow2 out.raw
}
try 0x10000 7fffffffffff0000
try 0x30000 80ffffffffff0000
try 0x40000 80ffffffffff0000
