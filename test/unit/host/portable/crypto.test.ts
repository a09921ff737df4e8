import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { portableCrypto } from '../../../../src/host/portable/crypto.ts';
import { checkCrypto } from '../cryptoChecks.ts';

describe('with WebCrypto', () => checkCrypto(portableCrypto()));

describe('with its random bytes only, as on a page without TLS', () => {
  beforeAll(() => {
    const getRandomValues = crypto.getRandomValues.bind(crypto);
    vi.stubGlobal('crypto', { getRandomValues });
  });
  afterAll(() => vi.unstubAllGlobals());

  checkCrypto(portableCrypto());
});

describe('without it', () => {
  beforeAll(() => void vi.stubGlobal('crypto', undefined));
  afterAll(() => vi.unstubAllGlobals());

  it('makes no keys', () => {
    expect(() => portableCrypto().fillRandom(new Uint8Array(8))).toThrow('no source of random bytes');
  });
});
