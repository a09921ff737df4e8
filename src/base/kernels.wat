;; Loops over bytes that run many times quicker with vector instructions. `node scripts/kernels.mjs` makes
;; `kernelBytes.ts` of this text. All functions work on the memory that is passed in; lengths are in bytes.
(module
  (import "env" "memory" (memory 0 65536 shared))

  ;; The first position of [$at, $end), in steps of 64, at which 64 bytes are not all zero; $end if there is none.
  (func $skipZeroes (param $at i32) (param $end i32) (result i32)
    (loop $next
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (local.get $end))))
      (if (v128.any_true
            (v128.or
              (v128.or (v128.load offset=0 (local.get $at)) (v128.load offset=16 (local.get $at)))
              (v128.or (v128.load offset=32 (local.get $at)) (v128.load offset=48 (local.get $at)))))
        (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (br $next))
    (unreachable))

  ;; Where the areas of $step bytes from $start on that are all zero end; $step is a power of two, the last one is short.
  (func (export "zeroEnd") (param $start i32) (param $end i32) (param $step i32) (result i32)
    (local $found i32)
    (local.set $found (call $skipZeroes (local.get $start) (local.get $end)))
    (if (i32.eq (local.get $found) (local.get $end)) (then (return (local.get $end))))
    (i32.add
      (local.get $start)
      (i32.and
        (i32.sub (local.get $found) (local.get $start))
        (i32.sub (i32.const 0) (local.get $step)))))

  ;; Where the areas of $step bytes from $start on that are not all zero end.
  (func (export "dataEnd") (param $start i32) (param $end i32) (param $step i32) (result i32)
    (local $areaEnd i32)
    (loop $next
      (if (i32.ge_u (local.get $start) (local.get $end)) (then (return (local.get $end))))
      (local.set $areaEnd (i32.add (local.get $start) (local.get $step)))
      (if (i32.gt_u (local.get $areaEnd) (local.get $end)) (then (local.set $areaEnd (local.get $end))))
      (if (i32.eq (call $skipZeroes (local.get $start) (local.get $areaEnd)) (local.get $areaEnd))
        (then (return (local.get $start))))
      (local.set $start (local.get $areaEnd))
      (br $next))
    (unreachable))

  ;; XTS (IEEE 1619): from the first tweaks of $sectors sectors of 512 bytes at $first makes those of all their blocks at
  ;; $tweaks, and XORs them to $data. The tweak of the next block is that of the last times x in GF(2^128).
  (func (export "xtsMask")
    (param $first i32) (param $tweaks i32) (param $data i32) (param $sectors i32)
    (local $low i64) (local $high i64) (local $carry i64) (local $blocks i32) (local $tweak v128)
    (loop $sector
      (local.set $low (i64.load offset=0 (local.get $first)))
      (local.set $high (i64.load offset=8 (local.get $first)))
      (local.set $blocks (i32.const 32))
      (loop $block
        (local.set $tweak (i64x2.replace_lane 1 (i64x2.splat (local.get $low)) (local.get $high)))
        (v128.store (local.get $tweaks) (local.get $tweak))
        (v128.store (local.get $data) (v128.xor (local.get $tweak) (v128.load (local.get $data))))
        (local.set $carry (i64.and (i64.shr_s (local.get $high) (i64.const 63)) (i64.const 0x87)))
        (local.set $high
          (i64.or (i64.shl (local.get $high) (i64.const 1)) (i64.shr_u (local.get $low) (i64.const 63))))
        (local.set $low (i64.xor (i64.shl (local.get $low) (i64.const 1)) (local.get $carry)))
        (local.set $tweaks (i32.add (local.get $tweaks) (i32.const 16)))
        (local.set $data (i32.add (local.get $data) (i32.const 16)))
        (br_if $block (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1)))))
      (local.set $first (i32.add (local.get $first) (i32.const 16)))
      (br_if $sector (local.tee $sectors (i32.sub (local.get $sectors) (i32.const 1))))))

  ;; XORs $length bytes at $from to those at $to; $length is a multiple of 32 above 0.
  (func (export "xor") (param $to i32) (param $from i32) (param $length i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (local.get $length)))
    (loop $next
      (v128.store (local.get $to) (v128.xor (v128.load (local.get $to)) (v128.load (local.get $from))))
      (v128.store offset=16 (local.get $to)
        (v128.xor (v128.load offset=16 (local.get $to)) (v128.load offset=16 (local.get $from))))
      (local.set $to (i32.add (local.get $to) (i32.const 32)))
      (local.set $from (i32.add (local.get $from) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $to) (local.get $end))))))
