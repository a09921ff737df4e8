# Where the file ends after growing, and what reads as what.
for cluster in 512 4k 64k 2M; do
  for grown in off metadata; do
    for made in off metadata; do
      oracle-img create -q -f qcow2 -o preallocation=$made,cluster_size=$cluster a.qcow2 1M
      qemu-img resize --preallocation=$grown a.qcow2 3M
      run stat -c %s a.qcow2
    done
  done
done
oracle-img create -q -f qcow2 -o cluster_size=4k a.qcow2 100M
qemu-img snapshot -c one a.qcow2
run stat -c %s a.qcow2
