import { describe, expect, it } from 'vitest';
import { parseUrl, printUrl, redirected } from '../../../../src/protocols/curl/url.ts';

describe('addresses', () => {
  it('have parts', () => {
    expect(parseUrl('http://u%41:p%20w@Host:8080/a/../b%20c/./d?q=/x#f')).toEqual({
      scheme: 'http',
      login: { username: 'uA', password: 'p w' },
      host: 'Host',
      port: 8080,
      path: '/b%20c/d?q=/x',
    });
    expect(parseUrl('https://[::1]')).toMatchObject({ host: '::1', port: 443, path: '/', login: undefined });
    expect(parseUrl('ftp://h//etc/ä')).toMatchObject({ port: 21, path: '//etc/%C3%A4' });
    expect(parseUrl('ftps://u@h/x')).toMatchObject({ port: 990, login: { username: 'u', password: '' } });
    expect(parseUrl('http://h?x=1')).toMatchObject({ host: 'h', path: '/?x=1' });
  });

  it('are printed without credentials', () => {
    for (const [url, printed] of [
      ['http://u:p@h:80/x', 'http://h/x'],
      ['https://[fe80::1]:8443/x?y', 'https://[fe80::1]:8443/x?y'],
    ] as const) {
      expect(printUrl(parseUrl(url))).toBe(printed);
    }
  });

  it.each([
    ['http://', 'URL rejected: No host present'],
    ['http://:80/x', 'URL rejected: No host present'],
    ['http://h:99999/x', 'URL rejected: Port number was not a decimal number between 0 and 65535'],
    ['http://a:b:c/x', 'URL rejected: Port number was not a decimal number between 0 and 65535'],
    ['http://h/a b', 'URL rejected: Bad path'],
    ['http://h/a\r\nX: y', 'URL rejected: Bad path'],
    ['http://a b/', 'URL rejected: Bad hostname'],
    ['http://[::zz]/', 'URL rejected: Bad hostname'],
    ['gopher://h/', 'Protocol "gopher" not supported'],
  ])('%s is none', (url, message) => {
    expect(() => parseUrl(url)).toThrow(message);
  });

  it.each([
    ['x', 'http://h:8080/d/x'],
    ['/x?y', 'http://h:8080/x?y'],
    ['../x', 'http://h:8080/x'],
    ['../../x', 'http://h:8080/x'],
    ['?z', 'http://h:8080/d/f?z'],
    ['', 'http://h:8080/d/f'],
    ['//other/x', 'http://other/x'],
    ['https://other/a b', 'https://other/a%20b'],
    ['..', 'http://h:8080/'],
  ])('a redirect to %s leads on', (location, target) => {
    expect(printUrl(redirected(parseUrl('http://h:8080/d/f?q'), location))).toBe(target);
  });

  it('are not followed to other protocols', () => {
    const base = parseUrl('http://h/');
    expect(() => redirected(base, 'file:///etc/passwd')).toThrow('Protocol "file" not supported');
    expect(() => redirected(base, 'ftp://h/x')).toThrow('Protocol "ftp" not supported');
  });
});
