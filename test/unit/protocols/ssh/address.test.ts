import { describe, expect, it } from 'vitest';
import type { BlockError } from '../../../../src/base/error.ts';
import { addressOf, parseName, printName } from '../../../../src/protocols/ssh/address.ts';

/** The name under which an address is shown, or what is wrong with it. */
function shown(name: string): string {
  try {
    const options = parseName(name);
    const address = addressOf(options);
    return printName(address, options, { user: address.place.user ?? 'me', port: address.place.port ?? '22' });
  } catch (thrown) {
    return (thrown as BlockError).message;
  }
}

// As the real tool has them, but for what comes behind the empty line.
it.each([
  ['ssh://h/x', 'ssh://me@h:22/x'],
  ['ssh://u@h:5/a/b', 'ssh://u@h:5/a/b'],
  ['ssh://@h/x', 'ssh://me@h:22/x'],
  ['ssh://u:p@h/x', 'ssh://u:p@h:22/x'],
  ['ssh://u%40v@h/x', 'ssh://u@v@h:22/x'],
  ['ssh://h:0/x', 'ssh://me@h:22/x'],
  ['ssh://h:/x', 'ssh://me@h:22/x'],
  ['ssh://h//x', 'ssh://me@h:22//x'],
  ['ssh://h/%78%2ey', 'ssh://me@h:22/x.y'],
  ['ssh://h/a b', 'ssh://me@h:22/a b'],
  ['ssh://h/x#y', 'ssh://me@h:22/x'],
  ['ssh://h/x?', 'ssh://me@h:22/x'],
  ['ssh://h/x?host_key_check', 'ssh://me@h:22/x'],
  ['ssh://h/x?host_key_check=no#y', 'ssh://me@h:22/x?host_key_check=no'],
  ['ssh://h/x?a=b&host_key_check=no&host_key_check=yes', 'ssh://me@h:22/x?host_key_check=yes'],
  ['ssh://h/x?host_key_check=md5:a:b', 'ssh://me@h:22/x?host_key_check=md5:a:b'],
  ['ssh://h/x?host_key_check=auto', 'unknown host_key_check setting (auto)'],
  ['ssh://h/x?host_key_check=', 'unknown host_key_check setting ()'],
  ['ssh:', 'missing hostname in URI'],
  ['ssh:/x', 'missing hostname in URI'],
  ['ssh:///x', 'missing hostname in URI'],
  ['ssh://u@/x', 'missing hostname in URI'],
  ['ssh://h', 'missing remote path in URI'],
  ['ssh://h:22?x', 'missing remote path in URI'],

  ['ssh://[::1]:5/x', 'ssh://me@[::1]:5/x'],
  ['ssh://h/a%25b%3fc%23', 'ssh://me@h:22/a%25b%3fc%23'],
  ['ssh://h:65536/x', "invalid port '65536'"],
  ['ssh://h:port/x', "invalid port 'port'"],
  ['ssh://h/%zz', "invalid escape in URI: '/%zz'"],
  ['ssh://h/%00', "invalid escape in URI: '/%00'"],
  // What ssh could take for an option, or what its configuration could hand to a shell.
  ['ssh://-oProxyCommand=id/x', "invalid host name '-oProxyCommand=id'"],
  ['ssh://%2doProxyCommand=id/x', "invalid host name '-oProxyCommand=id'"],
  ['ssh://-lx@h/x', "invalid user name '-lx'"],
  ['ssh://h%20b/x', "invalid host name 'h b'"],
  ['ssh://$(id)/x', "invalid host name '$(id)'"],
  ['ssh://h`id`/x', "invalid host name 'h`id`'"],
  ['ssh://u;id@h/x', "invalid user name 'u;id'"],
  ["ssh://u'@h/x", "invalid user name 'u''"],
  ['ssh://a%40b/x', "invalid host name 'a@b'"],
  ['ssh://h%0a/x', "invalid host name 'h\n'"],
  ['ssh://%ff/x', "invalid host name '\udcff'"],
])('%s is %s', (name, expected) => {
  expect(shown(name)).toBe(expected);
});

describe('options', () => {
  it('in each form', () => {
    const check = { mode: 'known_hosts' };
    expect(addressOf({ host: 'h', path: 'x' })).toEqual({ path: 'x', place: { host: 'h', check } });
    expect(addressOf({ server: { host: 'h', port: 5, ipv4: true }, path: '/x', user: 'u' })).toEqual({
      path: '/x',
      place: { host: 'h', port: '5', user: 'u', families: 'ipv4', check },
    });
    expect(addressOf({ 'server.host': 'h', 'server.port': '1', host: 'i', path: 'x' }).place).toEqual({
      host: 'i',
      check,
    });
    const checked = (more: Parameters<typeof addressOf>[0]): unknown =>
      addressOf({ host: 'h', path: 'x', ...more }).place.check;
    expect(checked({ 'host-key-check': { mode: 'none' } })).toEqual({ mode: 'none' });
    expect(checked({ 'host-key-check': { mode: 'none' }, host_key_check: 'yes' })).toEqual({ mode: 'known_hosts' });
    const hash = { mode: 'hash', type: 'sha1', hash: 'ab' };
    expect(checked({ 'host-key-check': hash })).toEqual(hash);
    expect(checked({ host_key_check: 'sha1:ab' })).toEqual(hash);
  });

  it.each<[Parameters<typeof addressOf>[0], string]>([
    [{}, "Parameter 'server' is missing"],
    [{ path: 'x', 'server.port': '1' }, "Parameter 'server.host' is missing"],
    [{ host: 'h' }, "Parameter 'path' is missing"],
    [{ port: '1', path: 'x' }, 'port may not be used without host'],
    [{ host: 'h', path: 'x', foo: '1' }, "Parameter 'foo' is unexpected"],
    [{ server: { host: 'h', foo: '1' }, path: 'x' }, "Parameter 'server.foo' is unexpected"],
    [{ host: 'h', path: 'x', user: '' }, "invalid user name ''"],
    [{ server: { host: 'h', ipv4: 'x' }, path: 'x' }, "Parameter 'server.ipv4' expects 'on' or 'off'"],
    [{ server: { host: 'h', ipv4: 'off', ipv6: 'off' }, path: 'x' }, 'Cannot disable IPv4 and IPv6 at same time'],
    [{ host: 'h', path: 'x', 'host-key-check': 'no' }, "Invalid parameter type for 'host-key-check', expected: object"],
    [{ host: 'h', path: 'x', 'host-key-check': { type: 'md5' } }, "Parameter 'host-key-check.mode' is missing"],
    [{ host: 'h', path: 'x', 'host-key-check': { mode: 'x' } }, "Parameter 'mode' does not accept value 'x'"],
    [{ host: 'h', path: 'x', 'host-key-check': { mode: 'hash' } }, "Parameter 'host-key-check.type' is missing"],
    [
      { host: 'h', path: 'x', 'host-key-check': { mode: 'hash', type: 'sha9' } },
      "Parameter 'type' does not accept value 'sha9'",
    ],
    [
      { host: 'h', path: 'x', 'host-key-check': { mode: 'hash', type: 'md5' } },
      "Parameter 'host-key-check.hash' is missing",
    ],
    [
      { host: 'h', path: 'x', 'host-key-check': { mode: 'none', hash: 'a' } },
      "Parameter 'host-key-check.hash' is unexpected",
    ],
  ])('%j are refused', (options, message) => {
    expect(() => addressOf(options)).toThrow(message);
  });

  it('that no file name can say need json:', () => {
    const shownAs = (options: Parameters<typeof addressOf>[0]): string =>
      printName(addressOf(options), options, { user: 'u', port: '1' });
    expect(shownAs({ server: { host: 'h', port: '1', ipv6: 'off' }, path: '/x' })).toBe(
      'json:{"server.host": "h", "server.port": "1", "server.ipv6": "off", "driver": "ssh", "path": "/x"}',
    );
    expect(shownAs({ host: 'h', path: 'x' })).toMatch(/^json:/);
  });
});
