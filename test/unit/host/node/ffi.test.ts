import { expect, test } from 'vitest';
import { exitAtOnce, libc } from '../../../../src/host/node/ffi.ts';

test('whoever wants to hear of the end of the process does', () => {
  libc();
  const listener = (): void => undefined;
  process.on('exit', listener);
  // Returns; without the listener the process would be gone.
  expect(exitAtOnce(3)).toBeUndefined();
  process.off('exit', listener);
});
