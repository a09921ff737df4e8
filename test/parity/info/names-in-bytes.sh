# File names are bytes: two that differ in one byte above 0x7f are two files, and chains with such names open.
d=$(printf 'd\351\377') e=$(printf '\351')
mkdir "$d"
ln -s "$d" "l$e"
qemu-img create -q -f qcow2 "$d/base$e.q" 1M
qemu-img create -q -f qcow2 "$d/base$(printf '\350').q" 2M
qemu-img create -q -f qcow2 -b "base$e.q" -F qcow2 "$d/mid.q"
qemu-img create -q -f qed -b mid.q -F qcow2 "$d/top$e.qed"
qemu-img info --backing-chain "l$e/top$e.qed"
qemu-img info --backing-chain --output=json "$d/top$e.qed"
qemu-img map "$d/mid.q"
qemu-img check "$d/base$e.q"
qemu-img info "$d/base$(printf '\352').q"
qemu-img info --image-opts "driver=qcow2,file.filename=$d/base$e.q" | head -n 1
qemu-img info --image-opts "driver=raw,size=512,file.filename=$d/base$e.q" | head -n 1
qemu-img rebase -u -b "gone$(printf '\303\377')" -F "r$e" "$d/mid.q"
qemu-img info "$d/mid.q" | head -n 7
