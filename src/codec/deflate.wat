;; The two long loops of a deflate encoder (RFC 1951): finding matches, and writing symbols. What is between them, the
;; codes of a block, is made in `deflate.ts`, which has the same map of the memory. `node scripts/kernels.mjs` makes
;; `deflateBytes.ts` of this text.
;;
;;   0        heads: by hash of four bytes, the last position with it; 32,768 of 16 bits
;;   65536    nearest: by hash of three bytes, the last position with it; 8,192 of 16 bits
;;   81920    chain: for each position of the window, the one before it with the same hash of four bytes; 16 bits
;;   147456   counts of literal and length symbols; 288 of 32 bits
;;   148608   counts of distance symbols; 32 of 32 bits
;;   148736   symbols of lengths from 0 to 258, less 257; 8 bits
;;   149248   codes of literals; 256 of 32 bits: 27 of code, first bit lowest, and 5 of its length
;;   150272   codes of lengths from 0 to 258, with their extra bits
;;   151552   codes of distance symbols; 32
;;   163840   tokens of a block: a literal, or length << 16 | distance; 32 bits
;;   327680   the input, with 8 bytes behind it that can be read
;;
;; Positions in tables are the lowest 16 bits of addresses. A stale one only leads to a candidate that is worse than
;; others: bytes are compared before anything is made of it.
(module
  (import "env" "memory" (memory 0))

  ;; Where the tokens of the last `parse` end.
  (global $tokenEnd (export "tokenEnd") (mut i32) (i32.const 0))

  ;; 5.1: symbol of a distance.
  (func $distanceSymbol (param $distance i32) (result i32)
    (local $bits i32)
    (local.set $distance (i32.sub (local.get $distance) (i32.const 1)))
    (if (i32.lt_u (local.get $distance) (i32.const 2)) (then (return (local.get $distance))))
    (local.set $bits (i32.sub (i32.const 31) (i32.clz (local.get $distance))))
    (i32.add
      (i32.shl (local.get $bits) (i32.const 1))
      (i32.and (i32.shr_u (local.get $distance) (i32.sub (local.get $bits) (i32.const 1))) (i32.const 1))))

  ;; Makes tokens of the input from $at on, up to $end or until there are 32,768, and counts their symbols. Returns where
  ;; it stopped. $first is where the input begins, and $window how far back a match may be (a power of two).
  ;;
  ;; A match is held back until the next position was looked at: where that has a better one, the byte between them
  ;; becomes a literal. Of at most $depth candidates the longest is taken, or one of $nice bytes.
  (func (export "parse")
    (param $at i32) (param $end i32) (param $first i32) (param $window i32) (param $depth i32) (param $nice i32)
    (result i32)
    (local $lastWord i32) (local $token i32) (local $fullAt i32) (local $mask i32)
    (local $heldLength i32) (local $heldDistance i32) (local $length i32) (local $distance i32)
    (local $word i32) (local $slot i32) (local $reach i32) (local $most i32) (local $tries i32)
    (local $back i32) (local $candidate i32) (local $tail i32) (local $next i32) (local $unlike i64)
    (local.set $mask (i32.sub (local.get $window) (i32.const 1)))
    (local.set $lastWord (i32.sub (local.get $end) (i32.const 4)))
    (local.set $token (i32.const 163840))
    (local.set $fullAt (i32.const 294912))
    (block $done
      (loop $position
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (br_if $done
          (i32.and (i32.ge_u (local.get $token) (local.get $fullAt)) (i32.eqz (local.get $heldLength))))
        (local.set $length (local.get $heldLength))
        (local.set $distance (i32.const 0))
        (block $searched
          (br_if $searched (i32.gt_s (local.get $at) (local.get $lastWord)))
          (local.set $word (i32.load (local.get $at)))

          ;; Enter the position in both tables.
          (local.set $slot
            (i32.shl
              (i32.shr_u (i32.mul (local.get $word) (i32.const 0x9E3779B1)) (i32.const 17))
              (i32.const 1)))
          (local.set $next (i32.load16_u (local.get $slot)))
          (i32.store16 (local.get $slot) (local.get $at))
          (i32.store16 offset=81920
            (i32.shl (i32.and (local.get $at) (local.get $mask)) (i32.const 1))
            (local.get $next))
          (local.set $slot
            (i32.shl
              (i32.shr_u
                (i32.mul (i32.shl (local.get $word) (i32.const 8)) (i32.const 0x9E3779B1))
                (i32.const 19))
              (i32.const 1)))
          (local.set $back
            (i32.and (i32.sub (local.get $at) (i32.load16_u offset=65536 (local.get $slot))) (i32.const 0xffff)))
          (i32.store16 offset=65536 (local.get $slot) (local.get $at))
          (br_if $searched (i32.ge_u (local.get $heldLength) (local.get $nice)))

          (local.set $reach (i32.sub (local.get $at) (local.get $first)))
          (if (i32.gt_u (local.get $reach) (local.get $window)) (then (local.set $reach (local.get $window))))
          ;; Three bytes pay only if they are near.
          (if (i32.eqz (local.get $heldLength))
            (then
              (if (i32.and
                    (i32.lt_u (i32.sub (local.get $back) (i32.const 1)) (local.get $reach))
                    (i32.le_u (local.get $back) (i32.const 4096)))
                (then
                  (if (i32.eqz
                        (i32.shl
                          (i32.xor (i32.load (i32.sub (local.get $at) (local.get $back))) (local.get $word))
                          (i32.const 8)))
                    (then
                      (local.set $length (i32.const 3))
                      (local.set $distance (local.get $back))))))))
          (local.set $most (i32.sub (local.get $end) (local.get $at)))
          (if (i32.gt_u (local.get $most) (i32.const 258)) (then (local.set $most (i32.const 258))))
          (local.set $tries (local.get $depth))
          ;; There is a good one already.
          (if (i32.ge_u (local.get $heldLength) (i32.const 8))
            (then (local.set $tries (i32.shr_u (local.get $tries) (i32.const 2)))))
          ;; What is longer than the best so far agrees in the last four bytes of such a length.
          (local.set $tail
            (select
              (i32.sub (local.get $length) (i32.const 3))
              (i32.const 0)
              (i32.gt_u (local.get $length) (i32.const 3))))
          (local.set $back (i32.and (i32.sub (local.get $at) (local.get $next)) (i32.const 0xffff)))
          (loop $candidates
            (br_if $searched (i32.ge_u (i32.sub (local.get $back) (i32.const 1)) (local.get $reach)))
            (local.set $candidate (i32.sub (local.get $at) (local.get $back)))
            (if (i32.eq
                  (i32.load (i32.add (local.get $candidate) (local.get $tail)))
                  (i32.load (i32.add (local.get $at) (local.get $tail))))
              (then
                (if (i32.eq (i32.load (local.get $candidate)) (local.get $word))
                  (then
                    (local.set $next (i32.const 4))
                    (block $differ
                      (loop $same
                        (local.set $unlike
                          (i64.xor
                            (i64.load (i32.add (local.get $candidate) (local.get $next)))
                            (i64.load (i32.add (local.get $at) (local.get $next)))))
                        (if (i64.ne (local.get $unlike) (i64.const 0))
                          (then
                            (local.set $next
                              (i32.add
                                (local.get $next)
                                (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $unlike)) (i64.const 3)))))
                            (br $differ)))
                        (local.set $next (i32.add (local.get $next) (i32.const 8)))
                        (br_if $same (i32.lt_u (local.get $next) (local.get $most)))))
                    (if (i32.gt_u (local.get $next) (local.get $most)) (then (local.set $next (local.get $most))))
                    (if (i32.gt_u (local.get $next) (local.get $length))
                      (then
                        (local.set $length (local.get $next))
                        (local.set $distance (local.get $back))
                        (br_if $searched (i32.ge_u (local.get $next) (local.get $nice)))
                        (br_if $searched (i32.ge_u (local.get $next) (local.get $most)))
                        (local.set $tail (i32.sub (local.get $next) (i32.const 3)))))))))
            (br_if $searched (i32.eqz (local.tee $tries (i32.sub (local.get $tries) (i32.const 1)))))
            (local.set $next
              (i32.and
                (i32.sub
                  (local.get $at)
                  (i32.load16_u offset=81920
                    (i32.shl (i32.and (local.get $candidate) (local.get $mask)) (i32.const 1))))
                (i32.const 0xffff)))
            (br_if $searched (i32.le_u (local.get $next) (local.get $back)))
            (local.set $back (local.get $next))
            (br $candidates)))

        (if (local.get $heldLength)
          (then
            ;; Better: a byte more, unless its distance takes more than a bit more.
            (if (i32.and
                  (i32.ne (local.get $distance) (i32.const 0))
                  (i32.gt_s
                    (i32.sub
                      (i32.add
                        (i32.shl (i32.sub (local.get $length) (local.get $heldLength)) (i32.const 2))
                        (i32.clz (local.get $distance)))
                      (i32.clz (local.get $heldDistance)))
                    (i32.const 2)))
              (then
                (local.set $token
                  (call $literal (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (local.get $token)))
                (local.set $heldLength (local.get $length))
                (local.set $heldDistance (local.get $distance))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $position)))
            (local.set $token (call $match (local.get $heldLength) (local.get $heldDistance) (local.get $token)))
            ;; The positions in it are entered, too.
            (local.set $next (i32.add (local.get $at) (i32.sub (local.get $heldLength) (i32.const 1))))
            (local.set $most
              (select
                (local.get $next)
                (i32.add (local.get $lastWord) (i32.const 1))
                (i32.le_s (local.get $next) (local.get $lastWord))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (block $entered
              (loop $enter
                (br_if $entered (i32.ge_s (local.get $at) (local.get $most)))
                (local.set $word (i32.load (local.get $at)))
                (local.set $slot
                  (i32.shl
                    (i32.shr_u (i32.mul (local.get $word) (i32.const 0x9E3779B1)) (i32.const 17))
                    (i32.const 1)))
                (i32.store16 offset=81920
                  (i32.shl (i32.and (local.get $at) (local.get $mask)) (i32.const 1))
                  (i32.load16_u (local.get $slot)))
                (i32.store16 (local.get $slot) (local.get $at))
                (i32.store16 offset=65536
                  (i32.shl
                    (i32.shr_u
                      (i32.mul (i32.shl (local.get $word) (i32.const 8)) (i32.const 0x9E3779B1))
                      (i32.const 19))
                    (i32.const 1))
                  (local.get $at))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $enter)))
            (local.set $at (local.get $next))
            (local.set $heldLength (i32.const 0))
            (br $position)))

        (if (local.get $distance)
          (then
            (local.set $heldLength (local.get $length))
            (local.set $heldDistance (local.get $distance)))
          (else (local.set $token (call $literal (i32.load8_u (local.get $at)) (local.get $token)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $position)))
    (global.set $tokenEnd (local.get $token))
    (local.get $at))

  ;; A literal, at $token; returns where the next token goes.
  (func $literal (param $byte i32) (param $token i32) (result i32)
    (local $place i32)
    (i32.store (local.get $token) (local.get $byte))
    (local.set $place (i32.shl (local.get $byte) (i32.const 2)))
    (i32.store offset=147456
      (local.get $place)
      (i32.add (i32.load offset=147456 (local.get $place)) (i32.const 1)))
    (i32.add (local.get $token) (i32.const 4)))

  ;; A match, likewise.
  (func $match (param $length i32) (param $distance i32) (param $token i32) (result i32)
    (local $place i32)
    (i32.store (local.get $token) (i32.or (i32.shl (local.get $length) (i32.const 16)) (local.get $distance)))
    ;; 147456 + 4 * 257
    (local.set $place (i32.shl (i32.load8_u offset=148736 (local.get $length)) (i32.const 2)))
    (i32.store offset=148484
      (local.get $place)
      (i32.add (i32.load offset=148484 (local.get $place)) (i32.const 1)))
    (local.set $place (i32.shl (call $distanceSymbol (local.get $distance)) (i32.const 2)))
    (i32.store offset=148608
      (local.get $place)
      (i32.add (i32.load offset=148608 (local.get $place)) (i32.const 1)))
    (i32.add (local.get $token) (i32.const 4)))

  ;; Writes the tokens of the last `parse` in the codes that are there, from bit $bit of the memory on; the bits behind
  ;; that are 0. Returns the bit behind what was written.
  (func (export "write") (param $bit i32) (result i32)
    (local $out i32) (local $token i32) (local $value i32) (local $code i32) (local $more i32)
    (local $bits i64) (local $used i64) (local $bytes i64)
    (local.set $out (i32.shr_u (local.get $bit) (i32.const 3)))
    (local.set $used (i64.extend_i32_u (i32.and (local.get $bit) (i32.const 7))))
    (local.set $bits (i64.load8_u (local.get $out)))
    (local.set $token (i32.const 163840))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $token) (global.get $tokenEnd)))
        (local.set $value (i32.load (local.get $token)))
        (local.set $token (i32.add (local.get $token) (i32.const 4)))
        (local.set $more (i32.const 0))
        (if (i32.lt_u (local.get $value) (i32.const 256))
          (then (local.set $code (i32.load offset=149248 (i32.shl (local.get $value) (i32.const 2)))))
          (else
            (local.set $code
              (i32.load offset=150272 (i32.shl (i32.shr_u (local.get $value) (i32.const 16)) (i32.const 2))))
            (local.set $bits
              (i64.or
                (local.get $bits)
                (i64.shl (i64.extend_i32_u (i32.and (local.get $code) (i32.const 0x7ffffff))) (local.get $used))))
            (local.set $used
              (i64.add (local.get $used) (i64.extend_i32_u (i32.shr_u (local.get $code) (i32.const 27)))))
            (local.set $value (i32.and (local.get $value) (i32.const 0xffff)))
            (local.set $code
              (i32.load offset=151552 (i32.shl (call $distanceSymbol (local.get $value)) (i32.const 2))))
            (local.set $value (i32.sub (local.get $value) (i32.const 1)))
            (if (i32.ge_u (local.get $value) (i32.const 4))
              (then (local.set $more (i32.sub (i32.const 30) (i32.clz (local.get $value))))))))
        (local.set $bits
          (i64.or
            (local.get $bits)
            (i64.shl (i64.extend_i32_u (i32.and (local.get $code) (i32.const 0x7ffffff))) (local.get $used))))
        (local.set $used
          (i64.add (local.get $used) (i64.extend_i32_u (i32.shr_u (local.get $code) (i32.const 27)))))
        ;; The extra bits of a distance.
        (if (local.get $more)
          (then
            (local.set $bits
              (i64.or
                (local.get $bits)
                (i64.shl
                  (i64.extend_i32_u
                    (i32.and (local.get $value) (i32.sub (i32.shl (i32.const 1) (local.get $more)) (i32.const 1))))
                  (local.get $used))))
            (local.set $used (i64.add (local.get $used) (i64.extend_i32_u (local.get $more))))))
        ;; At most 7 + 20 + 15 + 13 bits are there.
        (i64.store (local.get $out) (local.get $bits))
        (local.set $bytes (i64.shr_u (local.get $used) (i64.const 3)))
        (local.set $out (i32.add (local.get $out) (i32.wrap_i64 (local.get $bytes))))
        (local.set $bits (i64.shr_u (local.get $bits) (i64.shl (local.get $bytes) (i64.const 3))))
        (local.set $used (i64.and (local.get $used) (i64.const 7)))
        (br $next)))
    (i64.store (local.get $out) (local.get $bits))
    (i32.or (i32.shl (local.get $out) (i32.const 3)) (i32.wrap_i64 (local.get $used))))

  ;; Adler-32 of RFC 1950 of $length bytes.
  (func (export "adler") (param $at i32) (param $length i32) (result i32)
    (local $sum i32) (local $sums i32) (local $stop i32) (local $end i32) (local $word i32)
    (local.set $sum (i32.const 1))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $piece
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        ;; As many bytes as fit into the sums.
        (local.set $stop (i32.add (local.get $at) (i32.const 5552)))
        (if (i32.gt_u (local.get $stop) (local.get $end)) (then (local.set $stop (local.get $end))))
        (block $fours
          (loop $four
            (br_if $fours (i32.gt_u (i32.add (local.get $at) (i32.const 4)) (local.get $stop)))
            (local.set $word (i32.load (local.get $at)))
            (local.set $sums
              (i32.add
                (i32.add
                  (i32.add (local.get $sums) (i32.shl (local.get $sum) (i32.const 2)))
                  (i32.add
                    (i32.shl (i32.and (local.get $word) (i32.const 0xff)) (i32.const 2))
                    (i32.mul (i32.and (i32.shr_u (local.get $word) (i32.const 8)) (i32.const 0xff)) (i32.const 3))))
                (i32.add
                  (i32.shl (i32.and (i32.shr_u (local.get $word) (i32.const 16)) (i32.const 0xff)) (i32.const 1))
                  (i32.shr_u (local.get $word) (i32.const 24)))))
            (local.set $sum
              (i32.add
                (i32.add
                  (local.get $sum)
                  (i32.add
                    (i32.and (local.get $word) (i32.const 0xff))
                    (i32.and (i32.shr_u (local.get $word) (i32.const 8)) (i32.const 0xff))))
                (i32.add
                  (i32.and (i32.shr_u (local.get $word) (i32.const 16)) (i32.const 0xff))
                  (i32.shr_u (local.get $word) (i32.const 24)))))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $four)))
        (block $ones
          (loop $one
            (br_if $ones (i32.ge_u (local.get $at) (local.get $stop)))
            (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
            (local.set $sums (i32.add (local.get $sums) (local.get $sum)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $one)))
        (local.set $sum (i32.rem_u (local.get $sum) (i32.const 65521)))
        (local.set $sums (i32.rem_u (local.get $sums) (i32.const 65521)))
        (br $piece)))
    (i32.or (i32.shl (local.get $sums) (i32.const 16)) (local.get $sum))))
