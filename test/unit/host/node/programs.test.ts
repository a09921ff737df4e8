import { expect, it } from 'vitest';
import { startProgram } from '../../../../src/host/node/programs.ts';

/** How many processes and pipes keep this process from ending. */
const held = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'ProcessWrap' || kind === 'PipeWrap').length;

it('programs that nobody needs just now keep no process from ending', async () => {
  const before = held();
  const program = await startProgram('cat', []);
  expect(held()).toBeGreaterThan(before);
  const lingering = program.linger(1);
  expect(held()).toBe(before);
  await lingering;
  const answer = new Uint8Array(2);
  await program.write([Uint8Array.of(1), Uint8Array.of(2)]);
  expect(held()).toBeGreaterThan(before);
  expect(await program.read(answer)).toBe(2);
  expect([...answer]).toEqual([1, 2]);
  program.close();
  expect(await program.ended).toEqual({ code: 0, complaint: '' });
});
