# A directory with names that are no UTF-8 as a FAT disk: they have no long names there.
d=$(printf 'd\351')
mkdir "$d"
for name in 'ab\351cd.txt' ; do : >"$d/$(printf "$name")"; done
qemu-img info "fat:$d"
qemu-img info --image-opts "driver=vvfat,dir=$d,fat-type=12,label=$(printf '\351')"
