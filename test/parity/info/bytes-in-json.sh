# Names that are no UTF-8 in JSON: what is cut off, too long, or no character is U+FFFD. NUL in a description is C0 80.
for name in '\351' '\342\202' '\342\202z' '\355\240\200' '\300\200' '\370\210\200\200\200' '\376\200' '\357\277\276' '\303\251' '\364\220\200\200'; do
  oracle-img create -q -u -f qcow2 -b "$(printf "$name")" -F raw a.qcow2 1M
  qemu-img info --output=json a.qcow2 | grep -a '"backing-filename":'
  qemu-img info "$(printf 'json:{"driver":"raw","file":{"driver":"file","filename":"%b"}}' "$name")"
done
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":"a\u0000b"}}'
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":"a\udce9"}}'
qemu-img info 'json:{"driver":"raw","file":{"driver":"file","filename":"a\ud83f\udffe"}}'
qemu-img info "$(printf 'json:{\351')"
qemu-img info "$(printf 'json:{"\376')"
