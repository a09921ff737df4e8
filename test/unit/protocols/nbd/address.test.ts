import { describe, expect, it } from 'vitest';
import type { BlockError } from '../../../../src/base/error.ts';
import { addressOf, parseName, printName, serverOptions } from '../../../../src/protocols/nbd/address.ts';

const NO_URL = 'No valid URL specified';

/** The name under which an address is shown, or what is wrong with it. */
function shown(name: string): string {
  try {
    const options = parseName(name);
    const server = serverOptions(options);
    addressOf(server);
    return printName(server, options['export'] as string | undefined) ?? 'json';
  } catch (thrown) {
    return (thrown as BlockError).message;
  }
}

// All of them as the real tool has them.
it.each([
  ['nbd://host', 'nbd://host:10809'],
  ['nbd://host/', 'nbd://host:10809'],
  ['nbd://host:1/a/b', 'nbd://host:1/a/b'],
  ['nbd+tcp://host:010999//a', 'nbd://host:10999//a'],
  ['nbd://user:pw@host/a?', 'nbd://host:10809/a'],
  ['nbd://host/a#b', 'nbd://host:10809/a'],
  ['nbd://[::1]:5/', 'nbd://::1:5'],
  ['nbd://host:0', 'nbd://host:10809'],
  ['nbd+unix:///?socket=s.sock', 'nbd+unix://?socket=s.sock'],
  ['nbd+unix:///a%20b?socket=/x%2fy', 'nbd+unix:///a b?socket=/x/y'],
  ['nbd+unix:///?socket=a&socket=b', 'nbd+unix://?socket=b'],
  ['nbd:unix:s.sock', 'nbd+unix://?socket=s.sock'],
  ['nbd:unix:s.sock:exportname=a:exportname=b', 'nbd+unix:///a:exportname=b?socket=s.sock'],
  ['nbd:host:1:exportname=a', 'nbd://host:1/a'],
  ['nbd:[::1]:5', 'nbd://::1:5'],
  ['nbd:host:1,ipv4=on', 'nbd://host:1'],
  ['nbd:', 'NBD server address missing'],
  ['nbd:host:1:exportname=', 'NBD server address missing'],
  ['nbd:unix', "error parsing address 'unix'"],
  ['nbd:host:', "error parsing address 'host:'"],
  ['nbd:[::1', "error parsing IPv6 address '[::1'"],
  ['nbd:exportname=x', "File name string for NBD must start with 'nbd:'"],
  ['s.sock', "File name string for NBD must start with 'nbd:'"],
  ['nbd://', NO_URL],
  ['nbd:///x', NO_URL],
  ['nbd://host:port/', NO_URL],
  ['nbd://host:65536/', NO_URL],
  ['nbd://host/?socket=s', NO_URL],
  ['nbd://[zz]/', NO_URL],
  ['nbd+unix:///', NO_URL],
  ['nbd+unix://host/?socket=s', NO_URL],
  ['nbd+unix:///?sock=s', NO_URL],
  ['nbd+unix:///?socket=s&x=y', NO_URL],
  ['nbd+unix:///%zz?socket=s', NO_URL],
  ['nbd+unix:///%00?socket=s', NO_URL],
])('%s is %s', (name, expected) => {
  expect(shown(name)).toBe(expected);
});

describe('options', () => {
  const made = (options: Parameters<typeof serverOptions>[0]) => addressOf(serverOptions(options));
  it('in each form', () => {
    expect(made({ path: 's' })).toEqual({ type: 'unix', path: 's' });
    expect(made({ host: 'h' })).toEqual({ type: 'inet', host: 'h', port: '10809' });
    expect(made({ server: { type: 'inet', host: 'h', port: 5, ipv4: true } })).toEqual({
      type: 'inet',
      host: 'h',
      port: '5',
      families: 'ipv4',
    });
    expect(made({ 'server.type': 'fd', 'server.str': '7' })).toEqual({ type: 'fd', number: 7 });
    expect(made({ server: { type: 'unix', path: 's', abstract: 'on' } })).toMatchObject({ abstract: true });
  });

  it.each<[Parameters<typeof serverOptions>[0], string]>([
    [{}, 'NBD server address missing'],
    [{ path: null }, 'NBD server address missing'],
    [{ port: '1' }, 'NBD server address missing'],
    [{ path: 's', host: 'h' }, 'path and host may not be used at the same time'],
    [{ path: 's', port: '1' }, 'port may not be used without host'],
    [{ path: 's', server: { type: 'unix' } }, "Cannot use 'server' and path/host/port at the same time"],
    [{ server: { path: 's' } }, "Parameter 'type' is missing"],
    [{ server: { type: 'pipe' } }, "Parameter 'type' does not accept value 'pipe'"],
    [{ server: { type: 'unix' } }, "Parameter 'path' is missing"],
    [{ server: { type: 'inet', host: 'h' } }, "Parameter 'port' is missing"],
    [{ server: { type: 'unix', path: 's', foo: '1' } }, "Parameter 'foo' is unexpected"],
    [{ server: { type: 'unix', path: { a: '1' } } }, "Parameters 'path.*' are unexpected"],
    [{ server: { type: 'inet', host: 'h', port: '1', ipv4: 'x' } }, "Parameter 'ipv4' expects 'on' or 'off'"],
    [{ server: { type: 'inet', host: 'h', port: '1', to: '99999' } }, "Parameter 'to' expects uint16_t"],
    [
      { server: { type: 'inet', host: 'h', port: '1', ipv4: 'off', ipv6: 'off' } },
      'Cannot disable IPv4 and IPv6 at same time',
    ],
  ])('%j are refused', (options, message) => {
    expect(() => made(options)).toThrow(message);
  });

  it('that no file name can say need json:', () => {
    expect(printName({ type: 'inet', host: 'h', port: '1', ipv4: 'on' }, undefined)).toBeUndefined();
    expect(printName({ type: 'unix', path: 's' }, '')).toBe('nbd+unix:///?socket=s');
  });
});
