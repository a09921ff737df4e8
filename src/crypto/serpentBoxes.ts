/**
 * Serpent's eight S-boxes (Anderson, Biham, Knudsen: "Serpent: A Proposal for the Advanced Encryption
 * Standard", appendix A.5) on 32 positions at once: bit i of the four words is one input. Each function is the algebraic
 * normal form of the published table (XORs of products of inputs), with common terms shared.
 */

/** S-box 0, applied in place to the first four words. */
export function box0(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const abc = ab & c;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = abc ^ ac;
  const t1 = bcd ^ t0;
  const t2 = a ^ acd;
  const t3 = ab ^ d;
  const t4 = bc ^ t1;
  const t5 = t2 ^ t4;
  s[0] = ~(c ^ t3 ^ t5);
  s[1] = ~(bd ^ t5);
  s[2] = b ^ bd ^ t1 ^ t3;
  s[3] = a ^ b ^ c ^ d ^ ad;
}

/** S-box 1, applied in place to the first four words. */
export function box1(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abd = ab & d;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = acd ^ bcd;
  const t1 = a ^ t0;
  const t2 = ab ^ c;
  const t3 = abd ^ ac;
  const t4 = ad ^ b;
  const t5 = d ^ t2;
  s[0] = ~(bc ^ cd ^ t1 ^ t4);
  s[1] = ~(bd ^ t1 ^ t3 ^ t5);
  s[2] = ~(b ^ t5);
  s[3] = ~(d ^ t0 ^ t3 ^ t4);
}

/** S-box 2, applied in place to the first four words. */
export function box2(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const t0 = a ^ b;
  const t1 = abc ^ c;
  const t2 = abd ^ acd;
  const t3 = bc ^ cd;
  const t4 = bd ^ t0;
  const t5 = t2 ^ t3;
  s[0] = b ^ c ^ d ^ ac;
  s[1] = ad ^ t0 ^ t1 ^ t5;
  s[2] = d ^ t4 ^ t5;
  s[3] = ~(t1 ^ t4);
}

/** S-box 3, applied in place to the first four words. */
export function box3(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = a ^ acd;
  const t1 = b ^ cd;
  const t2 = t0 ^ t1;
  const t3 = ab ^ abc;
  const t4 = ac ^ t2;
  const t5 = c ^ d;
  const t6 = t3 ^ t5;
  s[0] = d ^ ad ^ bc ^ bcd ^ t2;
  s[1] = ad ^ abd ^ t4;
  s[2] = a ^ bd ^ abd ^ t6;
  s[3] = t4 ^ t6;
}

/** S-box 4, applied in place to the first four words. */
export function box4(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = a ^ bc;
  const t1 = bd ^ c;
  const t2 = ab ^ t1;
  const t3 = abd ^ t0;
  const t4 = ad ^ b;
  const t5 = bcd ^ cd;
  s[0] = ~(d ^ t2 ^ t4);
  s[1] = d ^ ac ^ bd ^ acd ^ t0 ^ t5;
  s[2] = abc ^ t2 ^ t3 ^ t5;
  s[3] = t1 ^ t3 ^ t4;
}

/** S-box 5, applied in place to the first four words. */
export function box5(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = b ^ d;
  const t1 = a ^ c;
  const t2 = ab ^ bd;
  const t3 = abd ^ cd;
  const t4 = acd ^ t0;
  s[0] = ~(c ^ ad ^ t0 ^ t2);
  s[1] = ~(d ^ t1 ^ t2 ^ t3);
  s[2] = ~(ac ^ bcd ^ t3 ^ t4);
  s[3] = ~(ad ^ abc ^ t1 ^ t4);
}

/** S-box 6, applied in place to the first four words. */
export function box6(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const bcd = bc & d;
  const t0 = abc ^ bcd;
  const t1 = b ^ c;
  const t2 = a ^ abd;
  const t3 = ab ^ cd;
  const t4 = ac ^ d;
  const t5 = bc ^ t0;
  const t6 = t1 ^ t4;
  const t7 = t2 ^ t5;
  s[0] = ~(t6 ^ t7);
  s[1] = ~(ad ^ t1);
  s[2] = ~(c ^ bd ^ t3 ^ t7);
  s[3] = t0 ^ t3 ^ t6;
}

/** S-box 7, applied in place to the first four words. */
export function box7(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const bc = b & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const bcd = bc & d;
  const t0 = ad ^ c;
  const t1 = b ^ t0;
  const t2 = a ^ abc;
  const t3 = ab ^ acd;
  const t4 = abd ^ d;
  const t5 = ac ^ t1;
  const t6 = bcd ^ bd;
  s[0] = ~(cd ^ t0 ^ t3 ^ t6);
  s[1] = bc ^ t3 ^ t4 ^ t5;
  s[2] = t1 ^ t2 ^ t4 ^ t6;
  s[3] = t2 ^ t5;
}
