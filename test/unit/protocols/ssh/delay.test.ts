/** A line that takes its time: how much of it is hidden by many requests under way. The clock is the test's own. */
import { expect, it } from 'vitest';
import { drivers, ImageLibrary, MemoryFiles, memoryServices } from '../../../../src/testing.ts';
import { SftpServer } from '../../../support/sftpServer.ts';

/** Milliseconds from a request to its answer. */
const DELAY = 20;

/** Turns of the event loop without a new request after which nobody does anything but wait. */
const QUIET = 8;

/** Answers that come later, by a clock that goes on whenever everybody waits for them. */
class DelayedLine {
  /** Milliseconds. */
  now = 0;
  readonly #under: { readonly due: number; send(): void }[] = [];
  #running = false;

  later(send: () => void): void {
    this.#under.push({ due: this.now + DELAY, send });
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let first = this.#under[0]; first; first = this.#under[0]) {
      for (let quiet = 0, before = this.#under.length; quiet < QUIET; quiet++) {
        await new Promise((resolve) => setTimeout(resolve));
        if (this.#under.length === before) continue;
        before = this.#under.length;
        quiet = 0;
      }
      this.now = first.due;
      while (this.#under[0] && this.#under[0].due <= this.now) this.#under.shift()?.send();
    }
    this.#running = false;
  }
}

/** Sixteen MiB that nobody can leave out. */
const content = new Uint8Array(16777216).map((_, at) => 1 + ((at >> 12) % 255));

const remote = (format: string) => ({ filename: 'ssh://u@h:22/x', format });
const local = (format: string) => ({ filename: 'local', format });

it.each([
  ['reading', 'raw'],
  ['reading', 'qcow2'],
  ['writing', 'raw'],
  ['writing', 'qcow2'],
])('%s %s waits for few answers of many', async (what, format) => {
  const line = new DelayedLine();
  const files = new MemoryFiles();
  const later = (send: () => void): void => line.later(send);
  const server = new SftpServer({ later });
  const now = () => ({ seconds: Math.floor(line.now / 1000), nanoseconds: (line.now % 1000) * 1e6 });
  const library = new ImageLibrary(drivers, { ...memoryServices(files), now, programs: server });
  await files.create('made', { size: content.length, preallocation: 'off' });
  const made = await files.open('made', { writable: true });
  await made.write?.(0, content);
  await made.close();
  const raw = { filename: 'made', format: 'raw' };
  if (what === 'writing') await library.convert({ source: raw, target: remote(format) });
  else {
    await library.convert({ source: raw, target: local(format) });
    server.put('/x', files.bytes('local'));
    await library.convert({ source: remote(format), target: { filename: 'copy', format: 'raw' } });
    expect(Buffer.compare(files.bytes('copy'), content)).toBe(0);
  }
  expect(server.requests.length).toBeGreaterThan(content.length / 131072);
  expect(line.now).toBeLessThan(server.requests.length * DELAY * 0.4);
});
