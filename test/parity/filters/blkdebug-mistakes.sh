# blkdebug: options that are wrong, and rules that pass because of their state or their number.
oracle-img create -q -f raw a.raw 1M
b() {
  qemu-img info --image-opts driver=blkdebug,image.driver=file,image.filename=a.raw,"$1"
}
b align=3
b align=0
b max-transfer=100,align=512
b max-transfer=2G
b max-discard=5k,align=1k,opt-discard=2k
b inject-error.0.errno=5
b inject-error.0.event=none,inject-error.0.iotype=sideways
b inject-error.0.event=none,inject-error.0.once=maybe
b inject-error.0.event=none,inject-error.0.state=7
b inject-error.1.event=none
b inject-error.00.event=none
b inject-error.0.x=1,inject-error.0.event=none
b unheard-of=1
qemu-img info --image-opts driver=blkdebug
qemu-img info --image-opts driver=blkdebug,image=a.raw
qemu-img info blkdebug:a.raw
qemu-img info blkdebug::missing.raw
qemu-img info blkdebug::a.raw
qemu-img create -f raw blkdebug::new.raw 1M
qemu-img create -f blkdebug new.raw 1M
