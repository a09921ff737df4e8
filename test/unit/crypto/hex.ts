/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Bytes from hexadecimal digits. */
export function unhex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
