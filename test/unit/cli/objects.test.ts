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
