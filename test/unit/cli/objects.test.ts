import { expect, test } from 'vitest';
import { BlockError, posixError } from '../../../src/base/error.ts';
import { ObjectRegistry } from '../../../src/cli/objects.ts';
import { MemoryIo } from '../../support/memoryIo.ts';

// Made with openssl enc -aes-256-cbc; the real tool decrypts it.
const KEY = 'lW2ER2EzB9s1nQXtg0grHZ9vOZqPfksuk62Qna+z2Do=';
const IV = 'ythf9v15+RVvo3vHnJmgSQ==';
const CODED = 'm8UkiXdAvHq2L63i8BepsQ==';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function secretOf(...objects: readonly string[]): Promise<string> {
  const io = new MemoryIo();
  io.files.set('plain', new TextEncoder().encode('from a file\n'));
  io.files.set('coded', new TextEncoder().encode('c2VjcmV0\n'));
  const registry = new ObjectRegistry(io);
  for (const object of objects) expect(await registry.add(object)).toBeUndefined();
  return text(registry.get('s'));
}

test('secrets come from data, files and base64', async () => {
  expect(await secretOf('secret,id=s,data=a,,b=c')).toBe('a,b=c');
  expect(await secretOf('secret,id=s,file=plain')).toBe('from a file\n');
  expect(await secretOf('secret,id=s,file=coded,format=base64')).toBe('secret');
  expect(await secretOf('{"qom-type":"secret","id":"s","data":"x"}')).toBe('x');
});

test('a secret in plain sight is told of where somebody sees it', async () => {
  const io = new MemoryIo();
  io.files.set('plain', new TextEncoder().encode('from a file'));
  const watched = new ObjectRegistry(Object.assign(io, { isWatched: async () => true }));
  await watched.add('secret,id=a,file=plain');
  expect(io.stderr).toBe('');
  await watched.add('secret,id=b,data=letmein');
  expect(io.stderr).toMatch(/^qimg: warning: secret 'b': .*file=NAME\n$/);
  expect(io.stderr).not.toContain('letmein');
  const unwatched = new MemoryIo();
  await new ObjectRegistry(unwatched).add('secret,id=b,data=letmein');
  expect(unwatched.stderr).toBe('');
});

test('bytes of secrets are overwritten when they are done with', async () => {
  const registry = new ObjectRegistry(new MemoryIo());
  await registry.add('secret,id=s,data=letmein');
  const bytes = registry.get('s');
  registry.wipe();
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});

test('a passphrase has to be text', async () => {
  await expect(secretOf('secret,id=s,data=a\udce9')).rejects.toThrow('Data from secret s is not valid UTF-8');
  await expect(secretOf('secret,id=s,data=YQBi,format=base64')).rejects.toThrow(
    'Data from secret s is not valid UTF-8',
  );
  await expect(secretOf('secret,id=s,data=/w==,format=base64')).rejects.toThrow(
    'Data from secret s is not valid UTF-8',
  );
});

test('a secret may be encrypted with another one', async () => {
  const key = `secret,id=k,format=base64,data=${KEY}`;
  expect(await secretOf(key, `secret,id=s,keyid=k,iv=${IV},data=${CODED},format=base64`)).toBe('letmein');
});

test.each([
  [`data=${CODED},format=base64`, 'IV is required to decrypt secret'],
  [`iv=AAAA,data=${CODED},format=base64`, 'IV should be 16 bytes in length not 3'],
  [`iv=zz!,data=${CODED},format=base64`, 'Base64 data contains invalid characters'],
  [`iv=${IV},data=AAAA,format=base64`, 'Length 3 must be a multiple of block size 16'],
  [`iv=${IV},data=zz!,format=base64`, 'Base64 data contains invalid characters'],
])('an encrypted secret with %s is refused', async (properties, message) => {
  await expect(secretOf(`secret,id=k,format=base64,data=${KEY}`, `secret,id=s,keyid=k,${properties}`)).rejects.toThrow(
    message,
  );
});

test('files that cannot be read', async () => {
  const io = new MemoryIo();
  await expect(new ObjectRegistry(io).add('secret,id=s,file=missing')).rejects.toThrow(
    'Unable to read missing: Failed to open file “missing”: No such file or directory',
  );
  io.readFile = () => Promise.reject(posixError('is-directory', '/'));
  await expect(new ObjectRegistry(io).add('secret,id=s,file=/')).rejects.toThrow(
    'Unable to read /: Error reading file “/”: Is a directory',
  );
});

test('other objects exist but are no secrets', async () => {
  const registry = new ObjectRegistry(new MemoryIo());
  await registry.add('throttle-group,id=t,x-iops-total=100');
  await registry.add('tls-creds-anon,id=a,endpoint=client,verify-peer=off');
  await registry.add('authz-list,id=l,rules.0.match=x,rules.0.policy=allow');
  expect(() => registry.get('t')).toThrow("Object with id 't' is not a secret");
  expect(() => registry.get('nothing')).toThrow(BlockError);
});

test('what is no secret can be asked for by its id', async () => {
  const io = new MemoryIo();
  io.files.set('keys/keys.psk', new TextEncoder().encode('qemu:00112233\n'));
  const { named, add } = registryOf(io);
  await add('secret,id=s,data=x');
  await add('throttle-group,id=t,x-iops-total=100,x-bps-read=7,limits.iops-total=5');
  await add('{"qom-type":"throttle-group","id":"j","limits":{"iops-total":3,"iops-size":4096}}');
  await add('tls-creds-psk,id=p,dir=keys');
  expect(named.get('s')).toEqual({ type: 'other' });
  expect(named.get('t')).toEqual({ type: 'throttle-group', limits: { 'iops-total': 5, 'bps-read': 7 } });
  expect(named.get('t')).toBe(named.get('t'));
  expect(named.get('j')).toEqual({ type: 'throttle-group', limits: { 'iops-total': 3, 'iops-size': 4096 } });
  expect(named.get('p')).toEqual({ type: 'tls-creds-psk', dir: 'keys', endpoint: 'client', verifyPeer: true });
  expect(named.get('nothing')).toBeUndefined();
});

function registryOf(io: MemoryIo) {
  const registry = new ObjectRegistry(io);
  return { named: registry.named, add: (object: string) => registry.add(object) };
}

// What the real tool says of each.
test.each([
  ['x-iops-total=-2,limits.iops-total=-1', 'Property values cannot be negative'],
  ['limits.bps-total=-1', 'bps/iops/max values must be within [0, 1000000000000000]'],
  [
    'x-iops-total=5,limits.iops-read=5',
    'bps/iops/max total values and read/write values cannot be used at the same time',
  ],
  ['limits.iops-size=3,limits.bps-total=1', 'iops size requires an iops value to be set'],
  ['x-bps-read=5,x-bps-read-max=3', 'bps_max/iops_max cannot be lower than bps/iops'],
  ['x-bps-read-max=5', 'bps_max/iops_max require corresponding bps/iops values'],
  ['limits.bps-read-max-length=0', 'the burst length cannot be 0'],
  ['limits.bps-read-max-length=-5', 'burst length set without burst rate'],
  [
    'limits.bps-total=10,limits.bps-total-max=300000000000000,limits.bps-total-max-length=4',
    'burst length too high for this burst rate',
  ],
  ['limits.bps-total-max-length=4294967296', 'bps-total-max-length value must be in the range [0, 4294967295]'],
  ['x-bps-total-max-length=4294967296', 'x-bps-total-max-length value must be in therange [0, 4294967295]'],
  ['limits=5', "Invalid parameter type for 'limits', expected: object"],
  ['limits.iops-tota=5', "Parameter 'limits.iops-tota' is unexpected"],
  ['limits.iops-total=5x', "Parameter 'limits.iops-total' expects integer"],
  ['limits.iops-total.x=5', "Parameters 'limits.iops-total.*' are unexpected"],
])('a group of throttled disks with %s is refused', async (properties, message) => {
  const added = new ObjectRegistry(new MemoryIo()).add(`throttle-group,id=t,${properties}`);
  await expect(added).rejects.toThrow(message);
});
