import { describe, expect, it } from 'vitest';
import { proxyFor } from '../../../../src/host/node/proxy.ts';

describe('proxies of the environment', () => {
  it.each<readonly [NodeJS.ProcessEnv, string, string, object | undefined]>([
    [{}, 'http', 'h', undefined],
    [{ http_proxy: 'http://p:3128' }, 'http', 'h', { host: 'p', port: 3128, secure: false, login: undefined }],
    [{ http_proxy: 'p' }, 'http', 'h', { host: 'p', port: 1080 }],
    [{ http_proxy: 'p' }, 'https', 'h', undefined],
    // Servers hand headers of requests to their children in such names: a header `Proxy` must not become one.
    [{ HTTP_PROXY: 'p' }, 'http', 'h', undefined],
    [{ HTTPS_PROXY: 'https://u%40:w@[::1]:1' }, 'https', 'h', { host: '::1', port: 1, secure: true }],
    [{ https_proxy: 'https://p' }, 'https', 'h', { host: 'p', port: 443 }],
    [{ ALL_PROXY: 'u:w@p:1/' }, 'https', 'h', { login: { username: 'u', password: 'w' } }],
    [{ all_proxy: 'p', http_proxy: 'q' }, 'http', 'h', { host: 'q' }],
  ])('%j for %s://%s', (env, scheme, host, proxy) => {
    if (proxy === undefined) expect(proxyFor(env, scheme, host)).toBeUndefined();
    else expect(proxyFor(env, scheme, host)).toMatchObject(proxy);
  });

  it('of other kinds are refused', () => {
    expect(() => proxyFor({ all_proxy: 'socks5://p:1' }, 'http', 'h')).toThrow(
      "Unsupported proxy scheme for 'socks5://p'",
    );
  });

  it.each([
    ['*', 'h', true],
    ['h', 'h', true],
    ['example.com', 'www.Example.com', true],
    ['.example.com', 'example.com', true],
    ['example.com', 'badexample.com', false],
    ['a,b  c', 'c', true],
    ['127.0.0.1', '127.0.0.1', true],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/99', '10.1.2.3', false],
    ['[::1]', '::1', true],
    ['fe80::/10', 'fe80::7', true],
    ['0.0.1', '127.0.0.1', false],
  ])('are not used: no_proxy=%s for %s: %s', (list, host, direct) => {
    expect(proxyFor({ http_proxy: 'p', no_proxy: list }, 'http', host) === undefined).toBe(direct);
  });
});
