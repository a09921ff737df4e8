# An entry without a name ends the table of feature names.
oracle-img create -q -f qcow2 good.qcow2 1M
# The table starts at 0x78: type, bit, name. Unknown features 5 and 6 are set.
try() {
  cp good.qcow2 a.qcow2
  poke a.qcow2 0x48 0000000000000060
  poke a.qcow2 0x78 "$1"
  poke a.qcow2 0xa8 "$2"
  qemu-img info a.qcow2
}
try 0005000000 0006736978000000
try 0006736978000000 0005000000
try 0006736978000000 00056669766500000000
