/**
 * The inverses of Serpent's eight S-boxes (Anderson, Biham, Knudsen: "Serpent: A Proposal for the Advanced Encryption
 * Standard", appendix A.5) on 32 positions at once: bit i of the four words is one input. Each function is the algebraic
 * normal form of the published table (XORs of products of inputs), with common terms shared.
 */

/** S-box 0, inverted, applied in place to the first four words. */
export function inverse0(s: Int32Array): void {
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
  const t1 = a ^ b;
  const t2 = ab ^ c;
  const t3 = abd ^ bc;
  const t4 = bd ^ t0;
  const t5 = cd ^ t3;
  s[0] = ~(ad ^ t2 ^ t4 ^ t5);
  s[1] = c ^ ac ^ t1 ^ t4;
  s[2] = ~(d ^ t1 ^ t2);
  s[3] = ~(a ^ d ^ t0 ^ t5);
}

/** S-box 1, inverted, applied in place to the first four words. */
export function inverse1(s: Int32Array): void {
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
  const t0 = abc ^ acd;
  const t1 = b ^ t0;
  const t2 = a ^ bd;
  const t3 = bcd ^ t1;
  const t4 = c ^ d;
  s[0] = ~(ab ^ t2 ^ t3);
  s[1] = ad ^ bd ^ t3 ^ t4;
  s[2] = ~(a ^ d ^ ac ^ bc ^ t1);
  s[3] = t2 ^ t4;
}

/** S-box 2, inverted, applied in place to the first four words. */
export function inverse2(s: Int32Array): void {
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
  const t0 = ab ^ acd;
  const t1 = a ^ bd;
  const t2 = abd ^ ad;
  const t3 = b ^ c;
  const t4 = d ^ t0;
  s[0] = bc ^ t1 ^ t3;
  s[1] = cd ^ t0 ^ t2 ^ t3;
  s[2] = ~(c ^ t1 ^ t2 ^ t4);
  s[3] = ~(bc ^ abc ^ t4);
}

/** S-box 3, inverted, applied in place to the first four words. */
export function inverse3(s: Int32Array): void {
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
  const t0 = ad ^ bc;
  const t1 = a ^ c;
  const t2 = abc ^ b;
  const t3 = abd ^ ac;
  const t4 = acd ^ t0;
  const t5 = bcd ^ d;
  const t6 = cd ^ t3;
  s[0] = bd ^ t0 ^ t1 ^ t5;
  s[1] = c ^ t2 ^ t4 ^ t5;
  s[2] = ab ^ bd ^ t4 ^ t6;
  s[3] = ad ^ t1 ^ t2 ^ t6;
}

/** S-box 4, inverted, applied in place to the first four words. */
export function inverse4(s: Int32Array): void {
  const a = s[0]!;
  const b = s[1]!;
  const c = s[2]!;
  const d = s[3]!;
  const ab = a & b;
  const ac = a & c;
  const ad = a & d;
  const bd = b & d;
  const cd = c & d;
  const abc = ab & c;
  const abd = ab & d;
  const acd = ac & d;
  const t0 = ab ^ c;
  const t1 = abd ^ b;
  const t2 = a ^ d;
  const t3 = ac ^ t0;
  const t4 = acd ^ ad;
  const t5 = cd ^ t1;
  s[0] = ~(c ^ t2 ^ t4 ^ t5);
  s[1] = d ^ t3 ^ t4;
  s[2] = ~(bd ^ abc ^ t1 ^ t2 ^ t3);
  s[3] = ad ^ t0 ^ t5;
}

/** S-box 5, inverted, applied in place to the first four words. */
export function inverse5(s: Int32Array): void {
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
  const abd = ab & d;
  const acd = ac & d;
  const t0 = a ^ abd;
  const t1 = ab ^ c;
  const t2 = abc ^ ad;
  const t3 = b ^ t2;
  const t4 = bc ^ d;
  const t5 = t0 ^ t4;
  s[0] = t5;
  s[1] = ac ^ t3 ^ t5;
  s[2] = bd ^ acd ^ t0 ^ t1;
  s[3] = ~(t1 ^ t3);
}

/** S-box 6, inverted, applied in place to the first four words. */
export function inverse6(s: Int32Array): void {
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
  const t0 = abd ^ bc;
  const t1 = bcd ^ t0;
  const t2 = a ^ t1;
  const t3 = ab ^ abc;
  const t4 = ac ^ d;
  const t5 = b ^ c;
  s[0] = ~(t2 ^ t3 ^ t4);
  s[1] = ~(t4 ^ t5);
  s[2] = ~(b ^ bd ^ cd ^ t2);
  s[3] = ~(d ^ ad ^ cd ^ t1 ^ t3 ^ t5);
}

/** S-box 7, inverted, applied in place to the first four words. */
export function inverse7(s: Int32Array): void {
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
  const t1 = abd ^ b;
  const t2 = acd ^ d;
  const t3 = ad ^ bd;
  const t4 = bcd ^ t0;
  const t5 = c ^ t3;
  const t6 = cd ^ t1;
  s[0] = ~(bd ^ t4 ^ t6);
  s[1] = ~(t2 ^ t4 ^ t5);
  s[2] = ac ^ t2 ^ t6;
  s[3] = ab ^ abc ^ abd ^ t5;
}
