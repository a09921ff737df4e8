# Backing file names that are option trees, and the format that counts for more than what these say.
oracle-img create -q -f raw base.raw 1M
oracle-img create -q -f qcow2 base.qcow2 1M
try() {
  oracle-img create -q -f qcow2 -u -b "$1" -F $2 top.qcow2 2M
  qemu-img map --output=json top.qcow2
  qemu-img info --backing-chain top.qcow2 | grep -v -e 'file length' -e 'disk size'
}
try 'json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}' raw
try 'json:{"driver":"file","filename":"base.raw"}' raw
try 'json:{"file.filename":"base.raw"}' raw
try 'json:{"driver":"nosuch","file.filename":"base.raw"}' raw
try 'file:base.raw' raw
qemu-img info -f raw 'json:{"driver":"qcow2","file.filename":"base.qcow2"}'
