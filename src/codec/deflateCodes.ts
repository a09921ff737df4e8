/** Prefix codes of deflate blocks (RFC 1951, 3.2): how long the code of each symbol is, and the codes themselves. */

/** Bits of {@link prefixCodes} below those that tell the length. */
export const CODE_BITS = 27;
/** Longest code of literals, lengths and distances. */
const LONGEST = 15;

const keys = new Uint32Array(288);
const weights = new Float64Array(2 * 288);
const parents = new Uint16Array(2 * 288);
const depths = new Uint8Array(2 * 288);
const atDepth = new Uint16Array(LONGEST + 1);

/**
 * Sets the lengths of the shortest prefix code for symbols of these counts: 0 for those that do not occur, at most
 * `longest` bits for others. Two symbols have a code in any case, since some readers want a complete one.
 * @param counts at most 288, each below 2^23.
 */
export function codeLengths(counts: Uint32Array, longest: number, lengths: Uint8Array): void {
  lengths.fill(0);
  let used = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol] as number;
    if (count > 0) keys[used++] = (count << 9) | symbol;
  }
  if (used < 2) {
    const only = used > 0 ? (keys[0] as number) & 511 : 0;
    lengths[only] = 1;
    lengths[only === 0 ? 1 : 0] = 1;
    return;
  }
  const order = keys.subarray(0, used).sort();
  countDepths(order, longest);
  let next = 0;
  for (let length = longest; length > 0; length--) {
    for (let left = atDepth[length] as number; left > 0; left--) lengths[(order[next++] as number) & 511] = length;
  }
}

/** Huffman's tree over leaves in rising order: inner nodes come into being in rising order, too, so two queues do. */
function countDepths(order: Uint32Array, longest: number): void {
  const leaves = order.length;
  for (let i = 0; i < leaves; i++) weights[i] = (order[i] as number) >>> 9;
  let leaf = 0;
  let inner = leaves;
  const top = 2 * leaves - 2;
  for (let node = leaves; node <= top; node++) {
    let sum = 0;
    for (let child = 0; child < 2; child++) {
      const takeLeaf = leaf < leaves && (inner >= node || (weights[leaf] as number) <= (weights[inner] as number));
      const taken = takeLeaf ? leaf++ : inner++;
      sum += weights[taken] as number;
      parents[taken] = node;
    }
    weights[node] = sum;
  }
  atDepth.fill(0);
  depths[top] = 0;
  for (let node = top - 1; node >= 0; node--) {
    const depth = (depths[parents[node] as number] as number) + 1;
    depths[node] = depth;
    if (node < leaves) atDepth[Math.min(depth, longest)]!++;
  }
  shorten(longest);
}

/** Makes room for leaves that were too deep: others that are not go down in pairs until all have their place. */
function shorten(longest: number): void {
  let taken = 0;
  for (let depth = 1; depth <= longest; depth++) taken += (atDepth[depth] as number) << (longest - depth);
  for (; taken > 1 << longest; taken--) {
    let depth = longest - 1;
    while (atDepth[depth] === 0) depth--;
    atDepth[depth]!--;
    atDepth[depth + 1]! += 2;
    atDepth[longest]!--;
  }
}

const firstOf = new Uint16Array(LONGEST + 2);

/** Sets the codes of these lengths (3.2.2), with their first bit lowest, and the length above {@link CODE_BITS}. */
export function prefixCodes(lengths: Uint8Array, codes: Uint32Array): void {
  atDepth.fill(0);
  for (const length of lengths) atDepth[length]!++;
  atDepth[0] = 0;
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    code = (code + (atDepth[length - 1] as number)) << 1;
    firstOf[length] = code;
  }
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] as number;
    codes[symbol] = length === 0 ? 0 : reversed(firstOf[length]!++, length) | (length << CODE_BITS);
  }
}

/** The lowest `count` bits the other way round. */
function reversed(bits: number, count: number): number {
  let result = ((bits & 0x5555) << 1) | ((bits >>> 1) & 0x5555);
  result = ((result & 0x3333) << 2) | ((result >>> 2) & 0x3333);
  result = ((result & 0x0f0f) << 4) | ((result >>> 4) & 0x0f0f);
  return (((result & 0xff) << 8) | (result >>> 8)) >>> (16 - count);
}
