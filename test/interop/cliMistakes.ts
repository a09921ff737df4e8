/** Command lines that fail before any image is looked at, by command (`program`: in front of the command). */

function lines(text: string): string[][] {
  return text
    .trim()
    .split('\n')
    .map((line) =>
      line
        .trim()
        .split(' ')
        .map((word) => (word === "''" ? '' : word.replaceAll('_', ' '))),
    );
}

/** Command lines for every command that has the option. */
const IMAGE_OPTS = '--image-opts -f raw a';

export const MISTAKES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  program: [
    [],
    ...lines(`
      frobnicate
      ''
      help
      -x
      -xh
      -q info
      --frobnicate
      --=x
      --tr
      --help=x
      --version=3
      -T
      -T bogus=1 info x
      -T foo=
      -T foo,bar info a
      -T foo
      -T foo,=x info a
      -T a,nofile
      --trace events=missing.txt info a
      inf a
      info --trace x
    `),
  ],
  create: [
    [],
    ...lines(`
      -f
      --f
      -f raw
      -o
      --o
      --format=
      -Z --help
      x abc
      x ''
      x 10X
      x 1.5
      x 9E
      x 8E
      x 8192P
      x -- -1
      x -1
      x -- -0
      x 18446744073709551616
      x 1M extra
      x y z
      x 1M --object bogus
      a b c d e
      -o '' x 1M
      -o , x 1M
      -o a=b, x 1M
      -o ,a=b x
      -o a=b -o ''
      -o a=b,,, x
      -o ,,x x
      -o help=on
    `),
  ],
  info: [
    [],
    ...lines(`
      --output=xml
      --output xml --nonsense x
      --output
      --output=JSON a
      --output= a
      -t foo a
      -t none,x a
      -t foo
      --o=x
      --forc=x
      --image-opts=on
      -U- a
      -?
      -:
      -Wx
      a -- -f
      --
      --image-opts -f raw
      --image-opts a -f raw
      --image-opts -f raw a b
      --image-opts driver=raw,id=
      --image-opts driver=raw,id=5,x
      -f raw --image-opts --output=x
      --object
      --object bogus --output=xml
      --object secret
      --object secret,id=s
      --object secret,id=s,data=x,file=y
      --object secret,id=s,file=missing
      --object secret,id=s,data=x,format=foo
      --object secret,id=s,data=c2Vj!,format=base64
      --object secret,data=x
      --object secret,id=5,data=x
      --object secret,id=,data=x
      --object secret,id=a_b,data=x
      --object secret,id=s,data=x,bogus=1
      --object secret,data=x,bogus=1
      --object nonsense,id=s
      --object nonsense
      --object qom-type=secret,qom-type=nonsense
      --object id=s,data=x
      --object ''
      --object ,
      --object =x
      --object secret,id=s,data
      --object secret,id=s,data=x,keyid=k
      --object secret,id=s,data.x=y
      --object secret,,id=s
      --object {"qom-type":"secret","id":"s"}
      --object {"qom-type":"secret"
      --object {"id":"s"}
      --object {"qom-type":"nonsense","id":"s"}
      --object {"qom-type":5,"id":"s"}
      --object {"qom-type":"secret","id":5,"data":"x"}
      --object {"qom-type":"secret","id":"s","data":5}
      --object {"qom-type":"secret","id":"s","data":"x","zz":1}
      --object {}
      --object []
      --object secret,id
      --object secret,help=on
      --object secret,id=s,help=on,data=x
      --object secret,a.b=1,a=2
      --object secret,a.0=2,a.b=3,id=x
      --object secret,a.1=2,id=x
      --object secret,a..b=5
      --object secret,id=s,data=x --object secret,id=s,data=y
      --object secret,id=k,data=short --object secret,id=s,keyid=k,data=x
      --object throttle-group,id=k --object secret,id=s,keyid=k,data=x
      --object tls-creds-x509,id=t
      --object tls-creds-x509,id=t,dir=/nonexistent,endpoint=client
      --object tls-creds-psk,id=t,dir=/nonexistent
      --object tls-creds-anon,id=t,endpoint=foo
      --object tls-creds-anon,id=t,verify-peer=maybe
      --object authz-simple,id=a
      --object authz-simple,id=a,identity=x,y=z
      --object authz-list-file,id=a
      --object authz-list,id=a,policy=foo
      --object authz-list,id=a,rules.0.match=x
      --object authz-list,id=a,rules.0.match=x,rules.0.policy=foo
      --object authz-pam,id=a
      --object authz-pam,id=a,service=x
      --object iothread,id=i
      --object throttle-group,id=t,x-iops-total=foo
      --object throttle-group,id=t,x-iops-total=-1
      --object throttle-group,id=t,x-iops-total=1,x-iops-read=1
      --object throttle-group,id=t,foo=1
      --object secret_keyring,id=k
      --object memory-backend-ram,id=m
      --object memory-backend-ram,id=m,size=1M
      --object filter-dump,id=f
      --object rng-random,id=r
      --object pr-manager-helper,id=p
      --object pr-manager-helper,id=p,path=/nonexistent
      --object main-loop,id=m,foo=1
      --object secret,help
      --object throttle-group,help
      --object tls-creds-x509,?
      --object tls-creds-psk,help
      --object tls-creds-anon,help
      --object authz-list,help
      --object authz-simple,help
      --object authz-list-file,help
      --object main-loop,help
      --object pr-manager-helper,help
      --object secret_keyring,help
      --object thread-context,help
      --object nonsense,help
      --object help --nonsense
      --object ?
    `),
    // The word splitting above makes blanks of underscores.
    ['--object', 'secret_keyring,id=k'],
    ['--object', 'secret_keyring,help'],
    ['--object', 'secret_keyring,id=k,serial=x'],
    ['--object', ' {"qom-type":"secret","id":"s"}'],
  ],
  check: [
    [],
    ...lines(`
      -r
      -r some
      -r some --nonsense
      -r Leaks a
      -T foo a
      -T foo --output=xml x
      -T foo -r some
      --output=xml -r some
      -T foo --image-opts -f raw x
      ${IMAGE_OPTS}
      a b
    `),
  ],
  map: [
    [],
    ...lines(`
      --start-offset=x a
      -s -1 a
      -s 1.5 a
      -s 8E a
      -s ''
      -l x a
      -l -1
      -s 0 -l 9E a
      --output=x -s x
      -s x --output=x
      --max-length=x
      ${IMAGE_OPTS}
      a b
    `),
  ],
  measure: [
    [],
    ...lines(`
      a b
      a b --size 1M
      --size 1M a
      -f raw --size 1M
      --source-format raw --size 1M
      -l s --size 1M
      --image-opts --size 1M
      --format=
      --s
      --source
      --target
      -l snapshot.id=x,bogus a
      -l snapshot.bogus=1 a
      -l snapshot. a
      -l snapshot.x=1 -l a
      --size x
      --size -1
      --size 8E
      --size ''
      --size x --output=x
      --output=x --size x
      -o help
      -o '' --size 1M
      -o ''
      ${IMAGE_OPTS}
    `),
  ],
  compare: [
    [],
    ...lines(`
      a
      a b c
      -T foo a b
      -p -T foo a b
      -p -q -T foo a b
      -T foo --image-opts -f raw a b
      --image-opts -f raw
      --image-opts -f raw a b
      -p --image-opts -f raw a b
      --object secret,id=s a b
      -T foo --object secret,id=s a b
      -x
    `),
  ],
  convert: [
    [],
    ...lines(`
      a
      -n
      --target-is-zero a b
      --target-is-zero -n a
      -S x a b
      -S -1 a b
      -S 511 a b
      -S 513
      -S 1.5 a b
      -S 8E a b
      -S 2G a b
      -m x a b
      -m 0 a b
      -m 17 a b
      -m 1.5 a b
      -m 5k a b
      -m '' a b
      -m -3
      -m 08
      -r x a b
      -r -1 a b
      -r 1.5
      -r 9E
      -T foo a b
      -p -T foo a b
      -T foo
      -l snapshot.bogus=1 a b
      -l snapshot.id=1,x=y a b
      -l snapshot.foo
      -o '' a b
      -c -C a b
      -C -S 4k a b
      --salvage -C a b
      --salvage -c -C a
      -n -o x=y a b
      -n -o x=y a
      -n -o help a b
      -n -o x=y --target-is-zero a
      --skip-broken-bitmaps a b
      --skip-broken-bitmaps -c -C a
      --skip-broken-bitmaps --target-image-opts a
      --target-image-opts -c -C a
      --target-image-opts --target-is-zero a b
      --target-image-opts -o help a
      --target-image-opts a b
      --salvage -C --target-is-zero a
      --salvage -C -n -o x=y a
      --image-opts -f raw a b
      -p --image-opts -f raw a b
      -T foo --image-opts -f raw a b
      -m x -S x
      --s=1
      --target
      -Z a b
    `),
  ],
  dd: [
    [],
    ...lines(`
      if=a
      of=b
      if=
      bs=0
      bs=x
      bs=
      bs=-1 if=a of=b
      bs=2G
      bs=1.5
      bs=8E
      bs=1 bs=x
      bs=x foo
      bs=x -x
      count=x
      count=-1
      count=
      count=8E if=a of=b
      skip=x
      skip=-1
      skip=8E
      seek=1
      conv=x
      =
      =1
      if
      -- bs=x
      -q if=a of=b
      --image-opts -f raw
      --image-opts -f raw if=a of=b
    `),
  ],
  commit: [
    [],
    ...lines(`
      -t foo a
      -t foo
      -p
      -p -t foo a
      -r x
      -r -1 a
      -r 9E
      --o
      -t foo ${IMAGE_OPTS}
      -p ${IMAGE_OPTS}
      a b
    `),
  ],
  rebase: [
    [],
    ...lines(`
      a
      -b x
      -B raw a
      -t foo -b x a
      -T foo -b x a
      -t foo a
      -t foo -T foo -b x a
      -p -t foo -b x a
      -p -q -t foo -b x a
      --back=x
      --backing-
      -b x ${IMAGE_OPTS}
      -p -b x ${IMAGE_OPTS}
      ${IMAGE_OPTS}
      a b -b x
    `),
  ],
  resize: [
    [],
    ...lines(`
      a
      a x
      a +
      a -
      a +x
      a -- -x
      a -1q
      a -x
      a ''
      a +-1M
      a -- --1M
      a 1.5
      a 16E
      a --shrink -1M
      a -1M -1M
      a -1M b
      a b -1M
      a -.5M
      a -1 -f
      a - 1
      -1M
      -q -1M a
      a 1M --frob
      1 2 3
      --preallocation=foo a 1M
      --preallocation=Full a x
      --preallocation= a 1M
      --preallocation foo
      ${IMAGE_OPTS} 1M
      ${IMAGE_OPTS} x
    `),
  ],
  snapshot: [
    [],
    ...lines(`
      -l
      -c x
      -c a -l b
      -l -c a
      -l -l a
      -c a -c b
      -c x -a y a
      -d x -l missing
      a b
      ${IMAGE_OPTS}
    `),
  ],
  bitmap: [
    [],
    ...lines(`
      --add
      --add a
      --add a b c
      --add -g x a b
      -g x
      -g -1
      -g 8E --add a b
      -g 1M a b
      -g 1M --remove a b
      -b y --add a b
      -F raw --add a b
      -F raw --merge x a b
      --remove -g 5 -F x a b
      --add -F x -b y a
      --add -b x -F y
      -b x -g 3
      --remove-all
      --remove-all a b
      --remove-all --add a
      --remove-all a b c
      --merge
      --rem a
      -g 1k --add --image-opts -f x
      --add ${IMAGE_OPTS} b
      a b
    `),
  ],
  amend: [
    [],
    ...lines(`
      -o ''
      -o '' a
      -o x=y -o '' a
      -o x=y
      -o x=y a b
      -o help
      -o a -o b
      a b
      -t foo
      -t foo -o x=y a
      -p -t foo -o x=y a
      -p -q -t foo -o x=y a
      -t foo -o help a
      -o x=y ${IMAGE_OPTS}
      -p -o x=y ${IMAGE_OPTS}
    `),
  ],
  bench: [
    [],
    ...lines(`
      a b
      -c x a
      -c 0 a
      -c -1 a
      -c 1.5
      -c 1k
      -c 2147483648
      -c 99999999999999999999
      -c ''
      -d x
      -d 0
      -d 2147483648
      -s x
      -s 0
      -s 4G
      -s 9E
      -s 2147483648
      -S x
      -S 4G
      -o x
      -o -1
      -o 9E
      --pattern x
      --pattern 256
      --pattern -1
      --pattern 1k
      --pattern ''
      --flush-interval x
      --flush-interval -1
      --flush-interval 4
      --flush-interval 4 a
      -w --flush-interval 4 -d 5 a
      -w --flush-interval 2 --no-drain a
      -i x a
      -t foo a
      -t foo -i x
      ${IMAGE_OPTS}
      --flush-interval 4 ${IMAGE_OPTS}
    `),
  ],
};
