# Conversions between files whose names are no UTF-8: extents of a descriptor in another encoding, data files, targets.
e=$(printf '\351')
head -c 1048576 /dev/zero | tr '\0' 'x' >"caf$e-flat.vmdk"
printf '# Disk DescriptorFile\nversion=1\nencoding="windows-1252"\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n# \374\n# Extent description\nRW 2048 FLAT "caf\351-flat.vmdk" 0\n' >d.vmdk
qemu-img info d.vmdk
qemu-img convert -O raw d.vmdk "o$e.raw"
filesum "o$e.raw"
qemu-img convert -f raw -O qcow2 -o "data_file=data$e" "o$e.raw" "o$e.qcow2"
imgsum "o$e.qcow2" qcow2
filesum "data$e"
qemu-img convert -O vmdk -o subformat=monolithicFlat "o$e.qcow2" "o$e.vmdk"
oracle-img info "o$e.vmdk" | grep -a filename
qemu-img convert -n -f raw -O vmdk "o$e.raw" d.vmdk
run grep -ac "$(printf '\374\n')" d.vmdk
run ls
