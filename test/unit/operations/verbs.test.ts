import { describe, expect, it } from 'vitest';
import { VERBS, type Verb } from '../../../src/operations/verbs.ts';
import * as node from '../../../src/node.ts';
import { MemoryLibrary } from '../../../src/testing.ts';

const verbs = Object.keys(VERBS) as Verb[];

describe.each(verbs)('%s', (verb) => {
  const name = verb === 'create' ? 'createImage' : verb;

  it('is a function of its module, a method of the library, and a function for Node', async () => {
    const library = new MemoryLibrary();
    expect(await VERBS[verb]()).toHaveProperty(verb, expect.any(Function));
    expect(library[name]).toBeInstanceOf(Function);
    expect(node).toHaveProperty(name, expect.any(Function));
  });

  it('says in its errors what it was about', async () => {
    const library = new MemoryLibrary();
    const stop = new AbortController();
    stop.abort();
    const stopped = new MemoryLibrary({ signal: stop.signal }, library.files);
    const request = { filename: 'a', image: 'a', first: 'a', second: 'b', source: 'b', target: 'a' };
    // A request of every verb at once.
    await expect(stopped.run(verb, request as never)).rejects.toMatchObject({
      kind: 'aborted',
      context: { operation: verb, filename: 'a' },
    });
  });
});
