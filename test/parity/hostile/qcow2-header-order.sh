# Of two things that are wrong with a qcow2 header, which one is told.
oracle-img create -q -f qcow2 good.qcow2 1M
try() {
  cp good.qcow2 bad.qcow2
  while [ $# -gt 0 ]; do
    poke bad.qcow2 $1 $2
    shift 2
  done
  qemu-img map bad.qcow2
}
try 32 80000000
try 32 00000003 36 00000000
try 96 00000007 104 05
try 72 0000000000000100 116 7fffffff
try 116 7fffffff 24 7fffffffffffffff
try 56 00000000 64 0000000000000001
try 112 00000000 116 7fffffff
try 8 0000000000000077
try 72 0000000000000004
cp good.qcow2 bad.qcow2
poke bad.qcow2 72 0000000000000002
poke bad.qcow2 36 00000000
qemu-img resize bad.qcow2 2M
cp good.qcow2 bad.qcow2
poke bad.qcow2 64 0000000000000001
qemu-img check bad.qcow2
oracle-img bitmap --add good.qcow2 b
poke good.qcow2 88 0000000000000000
qemu-img map good.qcow2
