import { afterEach, expect, it, vi } from 'vitest';
import { stoppable } from '../../../src/cli/stoppable.ts';
import type { OperationContext } from '../../../src/operations/context.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it('ends by the signal what goes on waiting, for instance for a server that is silent', async () => {
  vi.useFakeTimers();
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  let giveUp = (): void => undefined;
  const work = stoppable({} as OperationContext, () => new Promise<void>((resolve) => (giveUp = resolve)));
  process.emit('SIGTERM', 'SIGTERM');
  expect(kill).not.toHaveBeenCalled();
  await vi.runAllTimersAsync();
  expect(kill).toHaveBeenCalledWith(process.pid, 'SIGTERM');
  giveUp();
  await work;
});

it('leaves alone what is done in time', async () => {
  vi.useFakeTimers();
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  let complete = (): void => undefined;
  const work = stoppable({} as OperationContext, () => new Promise<void>((resolve) => (complete = resolve)));
  process.emit('SIGTERM', 'SIGTERM');
  complete();
  await work;
  await vi.runAllTimersAsync();
  expect(kill).not.toHaveBeenCalled();
});
