import { describe, expect, it } from 'vitest';
import type { BlockError } from '../../../../src/base/error.ts';
import { shakeHands } from '../../../../src/protocols/nbd/handshake.ts';
import { NbdServer, packed, type Part, type Peer, type Script } from '../../../support/nbdServer.ts';

async function attempt(script: Script, name = ''): Promise<string> {
  const connection = await new NbdServer(script).connect();
  try {
    const { export: found } = await shakeHands(connection, { name, context: 'base:allocation' });
    return `${found.form} ${found.size} ${found.flags}`;
  } catch (thrown) {
    const { message, hint } = thrown as BlockError;
    return hint === undefined ? message : `${message} | ${hint.replaceAll('\n', ' | ')}`;
  }
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const raw = (...bytes: readonly Uint8Array[]): Script => ({
  all: (peer) => {
    peer.send(...bytes);
    peer.end();
  },
});
const END = 'Unexpected end-of-file before all data were read';

// What the real tool says of each.
describe('greetings', () => {
  const old = packed(text('NBDMAGIC'), [8, 0x420281861253n], [8, 1024], [4, 0x5]);
  it.each<[string, Script, string]>([
    ['nothing', raw(), `Failed to read initial magic: ${END}`],
    ['half a word', raw(text('NBDMAG')), `Failed to read initial magic: ${END}`],
    ['another language', raw(text('HTTP/1.0 400 Bad')), 'Bad initial magic received: 0x485454502f312e30'],
    ['another magic', raw(text('NBDMAGICxxxxxxxx')), 'Bad server magic received: 0x7878787878787878'],
    ['no flags', raw(text('NBDMAGICIHAVEOPT')), `Failed to read server flags: ${END}`],
    ['an old one', raw(old, new Uint8Array(124)), 'simple 1024 5'],
    ['an old one that is cut', raw(old, new Uint8Array(100)), `Failed to read reserved block: ${END}`],
  ])('with %s', async (_, script, said) => {
    expect(await attempt(script)).toBe(said);
  });

  it('of old servers know one export only', async () => {
    expect(await attempt(raw(old, new Uint8Array(124)), 'x')).toBe('Server does not support non-empty export names');
  });
});

describe('the answer to NBD_OPT_GO', () => {
  const go = (answer: (peer: Peer) => void): Script => ({
    option: (peer, option) => {
      if (option !== 7) return false;
      answer(peer);
      return true;
    },
  });
  const error = (number: number, said = '') => go((peer) => peer.optionReply(7, 0x80000000 + number, text(said)));
  const info = (...parts: readonly Part[]) => go((peer) => peer.optionReply(7, 3, packed(...parts)));
  it.each<[string, Script, string]>([
    ['policy', error(2, 'no'), 'Denied by server for option 7 (go) | server reported: no'],
    ['invalid', error(3), 'Invalid parameters for option 7 (go)'],
    ['platform', error(4), 'Server lacks support for option 7 (go)'],
    [
      'TLS',
      error(5, 'first'),
      'TLS negotiation required before option 7 (go) | Did you forget a valid tls-creds? | server reported: first',
    ],
    ['unknown', error(6), 'Requested export not available'],
    ['shutdown', error(7), 'Server shutting down before option 7 (go)'],
    ['block sizes', error(8), 'Server requires INFO_BLOCK_SIZE for option 7 (go)'],
    ['something new', error(77), 'Unknown error code when asking for option 7 (go)'],
    ['another magic', go((peer) => peer.send([8, 5], [4, 7], [4, 1], [4, 0])), 'Unexpected option reply magic'],
    ['another option', go((peer) => peer.optionReply(6, 1)), 'Unexpected option type 6 (info), expected 7 (go)'],
    ['data with the end', go((peer) => peer.optionReply(7, 1, text('x'))), 'server sent invalid NBD_REP_ACK'],
    ['the end alone', go((peer) => peer.optionReply(7, 1)), 'broken server omitted NBD_INFO_EXPORT'],
    ['a list', go((peer) => peer.optionReply(7, 2)), 'unexpected reply type 2 (server), expected 3 (info)'],
    ['one byte', info([1, 0]), 'NBD_REP_INFO length 1 is too short'],
    ['half a size', info([2, 0], [4, 5]), 'remaining export info len 4 is unexpected size'],
    ['odd blocks', info([2, 3], [4, 3], [4, 4], [4, 5]), 'server minimum block size 3 is not a power of two'],
    ['odd better blocks', info([2, 3], [4, 512], [4, 256], [4, 512]), 'server preferred block size 256 is not valid'],
    ['odd largest blocks', info([2, 3], [4, 512], [4, 512], [4, 256]), 'server maximum block size 256 is not valid'],
    ['the end of all', go((peer) => peer.end()), `Failed to read option reply: ${END}`],
    [
      'a text without end',
      go((peer) => peer.send([8, 0x3e889045565a9n], [4, 7], [4, 0x80000002], [4, 1 << 30])),
      'server error 2147483650 (denied by policy) message is too long',
    ],
  ])('%s', async (_, script, said) => {
    expect(await attempt(script)).toBe(said);
  });

  it('may tell things that nobody asked for', async () => {
    const script = go((peer) => {
      peer.optionReply(7, 3, packed([2, 99], new Uint8Array(100)));
      peer.optionReply(7, 3, packed([2, 0], [8, 4096], [2, 1]));
      peer.optionReply(7, 1);
    });
    expect(await attempt(script)).toBe('structured 4096 1');
  });

  it('may not go on for ever', async () => {
    const reply = packed([8, 0x3e889045565a9n], [4, 7], [4, 3], [4, 2], [2, 99]);
    const many = new Uint8Array(reply.length * 100001);
    for (let at = 0; at < many.length; at += reply.length) many.set(reply, at);
    expect(await attempt(go((peer) => peer.send(many)))).toBe('Too many replies to option 7 (go)');
  });

  it('is not needed: older servers are asked for the export by its name', async () => {
    const asked: number[] = [];
    const script: Script = {
      option: (peer, option) => {
        asked.push(option);
        if (option === 3) {
          peer.optionReply(3, 2, packed([4, 1], text('x with a description')));
          peer.optionReply(3, 1);
        } else if (option === 1) peer.send([8, 2048], [2, 3]);
        else return false;
        return true;
      },
    };
    const unsupported: Script = {
      option: (peer, option, data) => {
        if (option !== 7) return script.option?.(peer, option, data) === true;
        asked.push(option);
        peer.optionReply(7, 0x80000001);
        return true;
      },
    };
    expect(await attempt(unsupported, 'x')).toBe('structured 2048 3');
    expect(await attempt(unsupported, 'y')).toBe("No export with name 'y' available");
    expect(asked).toContain(3);
  });

  it('needs a name that fits', async () => {
    expect(await attempt({}, 'x'.repeat(4097))).toBe('export name too long to send to server');
  });
});

describe('the context of block states', () => {
  const context = (...replies: readonly (readonly [type: number, data: Uint8Array])[]): Script => ({
    option: (peer, option) => {
      if (option !== 10) return false;
      for (const [type, data] of replies) peer.optionReply(10, type, data);
      return true;
    },
  });
  const named = (name: string) => [4, packed([4, 1], text(name))] as const;
  const ack = [1, new Uint8Array()] as const;
  const failed = 'Failed to negotiate meta context';
  it.each<[string, Script, string]>([
    ['is not there', context(ack), 'structured 65536 109'],
    ['is refused', context([0x80000002, text('no')]), 'structured 65536 109'],
    [
      'is another one',
      context(named('base:other'), ack),
      `${failed} 'base:allocation', server answered with different context 'base:other'`,
    ],
    [
      'is there twice',
      context(named('base:allocation'), named('base:allocation'), ack),
      'Server answered with more than one context',
    ],
    ['has no name', context([4, packed([4, 1])], ack), `${failed}, server answered with unexpected length 4`],
    ['ends with data', context(named('base:allocation'), [1, text('x')]), 'Unexpected length to ACK response'],
    ['is something else', context([2, text('x')]), 'Unexpected reply type 2 (server), expected 4 (meta context)'],
  ])('%s', async (_, script, said) => {
    expect(await attempt(script)).toBe(said);
  });
});
