import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockError } from '../../../../src/base/error.ts';
import type { ProtocolContext, ProtocolStorage } from '../../../../src/block/protocol.ts';
import { portableServices } from '../../../../src/host/portable/host.ts';
import { sshDriver } from '../../../../src/protocols/ssh/driver.ts';
import { packed, type Part, type Peer } from '../../../support/nbdServer.ts';
import {
  ALL_EXTENSIONS,
  sftpPacket,
  type SftpScript,
  SftpServer,
  sftpString,
  statusPacket,
} from '../../../support/sftpServer.ts';

const NAME = 'ssh://u@h:22/x';

function contextOf(server: SftpServer, more: Partial<ProtocolContext> = {}): ProtocolContext {
  const services = portableServices({ programs: server });
  return { writable: true, access: undefined, cache: undefined, discard: 'unmap', ...more, services };
}

async function opened(server: SftpServer, name = NAME, more: Partial<ProtocolContext> = {}): Promise<ProtocolStorage> {
  const given = sshDriver.parseFilename(name);
  return sshDriver.open({ ...contextOf(server, more), given }, {});
}

/** The message of a failure. */
async function failure(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (thrown) {
    return (thrown as BlockError).message;
  }
  return 'nothing';
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A server with a file of 1 MiB, in which each block of 4 bytes has its number. */
function withFile(script: SftpScript = {}): { readonly server: SftpServer; readonly content: Uint8Array } {
  const server = new SftpServer(script);
  const content = new Uint8Array(Uint32Array.from({ length: 262144 }, (_, index) => index).buffer);
  server.put('/x', content.slice());
  return { server, content };
}

describe('requests', () => {
  const wait = fc.constantFrom(0, 0, 1);
  it.each<[string, SftpScript]>([
    ['in order', {}],
    ['out of order', { later: (send) => void setTimeout(send, (Math.random() * 3) | 0) }],
    ['in small pieces', { extensions: [], shortReads: (wanted) => Math.max(1, wanted >> 1) }],
    ['in larger pieces', { limits: [100000, 90000, 90000], shortReads: (wanted) => Math.max(1, wanted - 7) }],
  ])('answered %s do what a plain array of bytes does', async (_, script) => {
    const size = 300000;
    const range = fc.record({
      at: fc.nat(size),
      length: fc.oneof(fc.nat(700), fc.nat(200000)),
      fill: fc.nat(255),
      wait,
    });
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('write' as const, 'read' as const, 'zero' as const), range }),
      fc.record({ kind: fc.constant('truncate' as const), range }),
    );
    const property = fc.asyncProperty(fc.array(fc.array(step, { maxLength: 5 }), { maxLength: 5 }), async (rounds) => {
      const server = new SftpServer(script);
      server.put('/x', new Uint8Array(1000));
      const file = await opened(server);
      let model = new Uint8Array(1000);
      const grow = (end: number): void => {
        if (end <= model.length) return;
        const more = new Uint8Array(end);
        more.set(model);
        model = more;
      };
      for (const round of rounds) {
        const work = round.map(({ kind, range: { at: start, length: wanted, fill } }, index): Promise<unknown> => {
          // Those of one round have parts of their own.
          const share = Math.floor(size / round.length);
          const at = index * share + (start % share);
          const length = Math.min(wanted, (index + 1) * share - at);
          if (length === 0) return Promise.resolve();
          if (kind === 'write' || kind === 'zero') {
            grow(at + length);
            model.fill(kind === 'zero' ? 0 : fill, at, at + length);
            if (kind === 'write') return Promise.resolve(file.write(at, new Uint8Array(length).fill(fill)));
            return Promise.resolve(file.writeZeroes(at, length));
          }
          if (kind === 'truncate' && round.length === 1) {
            grow(at);
            model = model.slice(0, at);
            return Promise.resolve(file.truncate(at));
          }
          return Promise.resolve();
        });
        await Promise.all(work);
        expect(file.size()).toBe(model.length);
        const [one, two] = [new Uint8Array(model.length >> 1), new Uint8Array(model.length - (model.length >> 1))];
        await Promise.all([file.read(0, one), file.read(one.length, two)]);
        expect(Buffer.compare(Buffer.concat([one, two]), model)).toBe(0);
      }
      await file.flush();
      await file.close();
      expect(Buffer.compare(server.files.get('/x')?.bytes ?? new Uint8Array(), model)).toBe(0);
    });
    await fc.assert(property, { numRuns: 25 });
  });

  it('are of the size that the server likes, many at a time, and not more than memory allows', async () => {
    const held: (() => void)[] = [];
    const { server, content } = withFile({ later: (send) => (held.length < 0 ? undefined : held.push(send)) });
    const releasing = setInterval(() => held.shift()?.(), 0);
    const file = await opened(server);
    clearInterval(releasing);
    const before = server.requests.length;
    const buffers = Array.from({ length: 16 }, () => new Uint8Array(1048576));
    const reads = Promise.all(buffers.map(async (buffer) => file.read(0, buffer)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    // 8 MiB in pieces of 128 KiB.
    expect(server.requests.length - before).toBe(64);
    const goOn = setInterval(() => held.splice(0).forEach((send) => send()), 0);
    await reads;
    for (const buffer of buffers) expect(Buffer.compare(buffer, content)).toBe(0);
    await file.close();
    clearInterval(goOn);
  });

  it('of zeroes behind the end make a hole', async () => {
    const { server } = withFile();
    const file = await opened(server);
    const before = server.requests.length;
    await file.writeZeroes(2097152, 1048576);
    expect(server.requests.slice(before).map(({ type }) => type)).toEqual([10]);
    expect(file.size()).toBe(3145728);
    await file.close();
  });

  it('that make changes safe are warned of where the server cannot', async () => {
    const said: string[] = [];
    const warn = (words: string, hint: unknown): void => void said.push(words, String(hint));
    const { server } = withFile({ extensions: [] });
    const file = await opened(server, NAME, { warn });
    await file.flush();
    await file.flush();
    await file.close();
    expect(said).toEqual(['ssh server h does not support fsync', 'to support fsync, you need OpenSSH >= 6.3']);
    const quick = await opened(server, NAME, { warn, cache: 'unsafe' });
    await quick.flush();
    await quick.close();
    expect(said.length).toBe(2);
  });

  it('of a full disk say so', async () => {
    const full: SftpScript['request'] = (peer, { type, id }) => {
      if (type !== 6) return false;
      peer.send(statusPacket(id, 4, 'Failure'));
      return true;
    };
    const { server } = withFile({ request: full });
    const file = await opened(server);
    expect(await failure(() => file.write(0, new Uint8Array(10)))).toBe('No space left on device');
    await file.close();
    const other = withFile({ request: full, extensions: [] });
    const unclear = await opened(other.server);
    expect(await failure(() => unclear.write(0, new Uint8Array(10)))).toBe('Input/output error');
    await unclear.close();
  });

  it('behind the end of a file that was shortened fail', async () => {
    const { server } = withFile();
    const file = await opened(server);
    (server.files.get('/x') as { bytes: Uint8Array }).bytes = new Uint8Array(1000);
    expect(await failure(() => file.read(500, new Uint8Array(1000)))).toBe('Input/output error');
    await file.close();
  });
});

describe('names', () => {
  const names = sshDriver.names as NonNullable<typeof sshDriver.names>;

  it('tell what they refer to', async () => {
    const { server } = withFile();
    server.put('/dir', new Uint8Array(), 0o040755);
    const { services } = contextOf(server);
    const status = await names.status(services, NAME);
    expect(status).toMatchObject({ kind: 'file', size: 1048576 });
    const file = await opened(server);
    expect(file.identity).toBe(status?.identity);
    await file.close();
    expect(await names.status(services, 'ssh://u@h:22/dir')).toMatchObject({ kind: 'directory', size: 0 });
    expect(await names.status(services, 'ssh://u@h:22/y')).toBeUndefined();
    expect(await failure(() => opened(server, 'ssh://u@h:22/dir'))).toBe(
      "failed to open remote file '/dir': Is a directory",
    );
    await names.remove(services, NAME);
    expect(server.files.has('/x')).toBe(false);
  });

  it('that are links to nowhere are not free', async () => {
    const server = new SftpServer({
      request: (peer, { type, id }) => {
        if (type === 7) peer.send(sftpPacket(105, id, [4, 4], [4, 0o120777]));
        return type === 7;
      },
    });
    expect(await failure(() => names.status(contextOf(server).services, NAME))).toContain('No such file');
  });

  it('of drafts are given when these are complete', async () => {
    const { server } = withFile();
    const { services } = contextOf(server);
    const draft = await names.draft(services, 'ssh://u@h:22/d%3f/new?host_key_check=no', false);
    expect(draft.at).toMatch(/^ssh:\/\/u@h:22\/d%3f\/\.qimg-[0-9a-f]{16}\.part\?host_key_check=no$/);
    expect([...server.files.keys()].at(-1)).toMatch(/^\/d\?\/\.qimg-/);
    const file = await opened(server, draft.at);
    await file.write(0, text('whole'));
    await file.close();
    await draft.publish();
    expect([...server.files.keys()]).toEqual(['/x', '/d?/new']);

    (server.files.get('/x') as { mode: number }).mode = 0o100640;
    const other = await names.draft(services, NAME, true);
    await other.publish();
    expect(server.files.get('/x')).toEqual({ bytes: new Uint8Array(), mode: 0o100640 });
    const given = await names.draft(services, NAME, true);
    await given.discard();
    expect([...server.files.keys()].toSorted()).toEqual(['/d?/new', '/x']);
  });

  it('are given without replacing anything where the server cannot do that as a whole', async () => {
    const { server } = withFile({ extensions: ALL_EXTENSIONS.filter((name) => !name.startsWith('posix')) });
    const { services } = contextOf(server);
    expect(await failure(() => names.draft(services, NAME, true))).toContain('the server cannot replace files');
    const draft = await names.draft(services, 'ssh://u@h:22/y', false);
    await draft.publish();
    expect([...server.files.keys()]).toEqual(['/x', '/y']);
  });

  it('of new files are taken at once', async () => {
    const { server } = withFile();
    await sshDriver.create?.(contextOf(server), 'ssh://u@h:22/z', { size: 1000 });
    expect(server.files.get('/z')).toEqual({ bytes: new Uint8Array(1024), mode: 0o100644 });
    await sshDriver.create?.(contextOf(server), NAME, { size: 0 });
    expect(server.files.get('/x')?.bytes.length).toBe(0);
    expect(server.started.length).toBe(1);
  });
});

describe('what ssh is told', () => {
  const argumentsFor = async (name: string): Promise<readonly string[]> => {
    const { server } = withFile();
    const file = await opened(server, name);
    await file.close();
    return server.started[0] ?? [];
  };

  it('is whom to reach, behind which nothing is an option', async () => {
    const given = await argumentsFor('ssh://u@h:5/x');
    expect(given.slice(-4)).toEqual(['-s', '--', 'h', 'sftp']);
    expect(given.join(' ')).toContain('-p 5 -l u');
    expect(given).toContain('-oBatchMode=yes');
    expect(given).toContain('-oStrictHostKeyChecking=yes');
    expect(given.join(' ')).not.toContain('UserKnownHostsFile');
  });

  it('is to take any key only if that was asked for', async () => {
    const given = await argumentsFor('ssh://u@h:5/x?host_key_check=no');
    expect(given).toContain('-oStrictHostKeyChecking=no');
    expect(given).toContain('-oUserKnownHostsFile=/dev/null');
  });

  it('is nothing of what its configuration knows better, which is shown', async () => {
    const { server } = withFile({ configuration: 'host h\nuser somebody\nport 2222\n' });
    const file = await opened(server, 'ssh://h/x');
    expect(file.name).toBe('ssh://somebody@h:2222/x');
    await file.close();
    expect(server.started.find((given) => !given.includes('-G'))?.join(' ')).not.toMatch(/ -[pl] /);
  });

  it('is one key, where its hash was given', async () => {
    const key = Buffer.from('a key of a machine, which is long').toString('base64');
    const end = { code: 255, complaint: `noise\nqimg-host-key NONE NONE\nqimg-host-key ssh-ed25519 ${key}\nmore\n` };
    const learning = (given: readonly string[]): boolean => given.some((one) => one.includes('qimg-host-key'));
    class Learning extends SftpServer {
      override async start(name: string, given: readonly string[]) {
        const program = await super.start(name, given);
        if (learning(given)) this.peers.at(-1)?.end();
        return learning(given) ? Object.assign(program, { ended: Promise.resolve(end) }) : program;
      }
    }
    const server = new Learning();
    server.put('/x', new Uint8Array(512));
    const right = 'sha1:21:84:e8';
    const wrong = await failure(() => opened(server, `ssh://u@h:22/x?host_key_check=${right}`));
    const [, found = ''] =
      /fingerprint '(sha1:[0-9a-f]{40})' does not match host_key_check 'sha1:21:84:e8'/.exec(wrong) ?? [];
    expect(server.started.length).toBe(1);
    const file = await opened(server, `ssh://u@h:22/x?host_key_check=${found}`);
    await file.close();
    expect(server.started.length).toBe(3);
    const pinned = server.started[2]?.find((one) => one.startsWith('-oKnownHostsCommand='));
    expect(pinned).toBe(`-oKnownHostsCommand=/bin/sh -c "echo '%H ssh-ed25519 ${key}'"`);
    expect(server.started[2]).toContain('-oStrictHostKeyChecking=yes');
  });
});

describe('servers that are', () => {
  const start = (...parts: readonly Part[]) => ({
    all: (peer: Peer) => {
      peer.send(...parts);
      peer.end();
    },
  });
  const version = (...parts: readonly Part[]) => start(sftpPacket(2, undefined, ...parts));

  it.each<[string, SftpScript, string]>([
    ['noisy', start(text('Welcome to h!\nfun')), "sent something else in front of SFTP: 'Welcome to h!'"],
    ['short', start(text('hi')), "sent something else in front of SFTP: 'hi'"],
    ['strange', start(sftpPacket(102, undefined, [4, 3])), 'sent something else in front of SFTP'],
    ['new', version([4, 6]), 'the server speaks version 6 of SFTP only'],
    ['cut short', start([4, 100], [1, 2], [4, 3]), 'the server has hung up'],
    ['confused', version([4, 3], [4, 1000], [4, 0]), 'a packet that is cut short'],
  ])('%s are given up', async (_, script, message) => {
    expect(await failure(() => opened(new SftpServer(script)))).toContain(message);
  });

  it.each<[string, string, string]>([
    [
      'unreachable',
      'ssh: connect to host h port 22: No route to host\r\n',
      "Failed to connect to 'h:22': No route to host",
    ],
    [
      'unknown',
      'ssh: Could not resolve hostname h: Name or service not known\r\n',
      'address resolution failed for h:22: Name or',
    ],
    [
      'suspicious',
      'No ED25519 host key is known for h and you\r\nHost key verification failed.',
      'no host key was found in known_',
    ],
    [
      'changed',
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nThe fingerprint for the ED25519 key sent by the remote host is\nSHA256:abc.\nPlease',
      'host key (ED25519 key with fingerprint SHA256:abc) does not match the one in known_hosts; this may be a possible attack',
    ],
    ['picky', 'u@h: Permission denied (publickey).\r\n', 'failed to authenticate using publickey authentication and'],
    [
      'without SFTP',
      'subsystem request failed on channel 0\r\n',
      'failed to create sftp handle: subsystem request failed on',
    ],
    [
      'odd',
      'first\nkex_exchange_identification: read\n',
      'failed to establish SSH session: kex_exchange_identification: read',
    ],
    ['silent', '', 'failed to establish SSH session: ssh has ended with exit code 255'],
  ])('%s are said to be that', async (_, complaint, message) => {
    const server = new SftpServer({ all: (peer) => peer.end(), end: { code: 255, complaint } });
    expect(await failure(() => opened(server))).toContain(message);
    expect(server.peers.every(({ closed }) => closed)).toBe(true);
  });

  /** Answers a read like that. */
  const answering = (answer: (id: number) => Uint8Array): SftpScript => ({
    request: (peer, { type, id }) => {
      if (type === 5) peer.send(answer(id));
      return type === 5;
    },
  });

  it.each<[string, SftpScript]>([
    ['hanging up', { request: (peer, { type }) => type === 5 && (peer.end(), true) }],
    ['answering what nobody asked', answering((id) => sftpPacket(103, id + 7, sftpString('abcd')))],
    ['giving too much', answering((id) => sftpPacket(103, id, sftpString(new Uint8Array(2000))))],
    ['giving nothing', answering((id) => sftpPacket(103, id, sftpString('')))],
    ['lying about lengths', answering((id) => sftpPacket(103, id, [4, 50], text('abc')))],
    ['sending endless packets', answering((id) => packed([4, 0xffffffff], [1, 103], [4, id]))],
    ['sending tiny packets', answering(() => packed([4, 1], [1, 103], [8, 0]))],
    ['of another kind', answering((id) => sftpPacket(102, id, sftpString('h')))],
    ['agreeing only', answering((id) => statusPacket(id, 0))],
    ['failing', answering((id) => statusPacket(id, 4, 'Failure'))],
    ['silent about the reason', answering((id) => sftpPacket(101, id, [4, 4]))],
    ['mad', answering((id) => sftpPacket(101, id))],
  ])('%s fail the request', async (_, script) => {
    const { server } = withFile(script);
    const file = await opened(server);
    await expect(async () => file.read(0, new Uint8Array(1000))).rejects.toMatchObject({
      kind: 'io',
      strerror: 'Input/output error',
    });
    await file.close();
  });

  it('gone fail everything that comes later, however much that is', async () => {
    const { server } = withFile({ request: (peer, { type }) => type === 5 && (peer.end(), true) });
    const file = await opened(server);
    const attempts = Array.from({ length: 30 }, () => () => failure(() => file.read(0, new Uint8Array(1048576))));
    const first = await Promise.all(attempts.map((attempt) => attempt()));
    const second = await Promise.all(attempts.map((attempt) => attempt()));
    expect(new Set([...first, ...second])).toEqual(new Set(['Input/output error']));
    await file.close();
  });

  it('refusing say what they say', async () => {
    const server = new SftpServer({
      request: (peer, { type, id }) => type === 3 && (peer.send(statusPacket(id, 3, 'Permission\ndenied')), true),
    });
    expect(await failure(() => opened(server))).toBe(
      "failed to open remote file '/x': SFTP server: Permission denied (sftp error code: 3)",
    );
  });

  it('silent have time to answer only while they have something to do', async () => {
    const { server } = withFile({ request: (_, { type }) => type === 5 || type === 6 });
    const file = await opened(server);
    const peer = server.peers[0] as Peer;
    expect(peer.patience).toBe(0);
    const reading = failure(() => file.read(0, new Uint8Array(10)));
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(peer.patience).toBe(60000);
    const writing = failure(() => file.write(0, new Uint8Array(10)));
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(peer.patience).toBe(600000);
    peer.end();
    expect(await Promise.all([reading, writing])).toEqual(['Input/output error', 'Input/output error']);
    await file.close();
    // The next one gets a session of its own.
    const again = await opened(server);
    await again.close();
    expect(server.peers.length).toBe(2);
  });
});

it('sessions are shared: one for what a command opens, a few for many', async () => {
  const { server } = withFile();
  const some = await Promise.all(Array.from({ length: 16 }, () => opened(server)));
  expect(server.peers.length).toBe(1);
  const more = await Promise.all(Array.from({ length: 99 }, () => opened(server)));
  expect(server.peers.length).toBe(4);
  for (const file of [...some, ...more]) await file.close();
  const again = await opened(server);
  await again.close();
  expect(server.peers.length).toBe(4);
  while (!server.peers.every(({ closed }) => closed)) await new Promise((resolve) => setTimeout(resolve, 10));
});
