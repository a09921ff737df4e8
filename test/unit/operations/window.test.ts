/** How many requests a copy has under way. */
import { describe, expect, test } from 'vitest';
import { isPromise } from '../../../src/base/async.ts';
import { MiB } from '../../../src/base/offset.ts';
import { Window } from '../../../src/operations/copy/window.ts';

/** A window on a clock that tests move. */
function windowOf(few: number, most: number) {
  const clock = { milliseconds: 1e12 };
  const services = {
    now: () => ({
      seconds: Math.floor(clock.milliseconds / 1000),
      nanoseconds: Math.round((clock.milliseconds % 1000) * 1e6),
    }),
  };
  const window = new Window(few, most, services);
  /** Has a number of requests take their time one after the other; true if the window found them slow. */
  const requests = (count: number, milliseconds: number, length = MiB) => {
    let slow = false;
    for (let i = 0; i < count; i++) {
      const since = window.now();
      clock.milliseconds += milliseconds;
      slow = window.look(since, length) || slow;
    }
    return slow;
  };
  /** Permits that are there at once. */
  const free = () => {
    let count = 0;
    while (!isPromise(window.acquire())) count++;
    return count;
  };
  return { window, requests, free };
}

describe('requests in flight', () => {
  test('stay few while they are fast, also where a single one is slow', () => {
    const { requests, free } = windowOf(4, 16);
    expect(requests(100, 1)).toBe(false);
    expect(requests(1, 20)).toBe(false);
    expect(requests(100, 1)).toBe(false);
    expect(free()).toBe(4);
  });

  test('become more where they are slow', () => {
    const { requests, free } = windowOf(4, 16);
    expect(requests(8, 20)).toBe(true);
    expect(requests(100, 0)).toBe(false);
    expect(free()).toBe(16);
  });

  test('long requests may take longer', () => {
    const { requests, free } = windowOf(4, 16);
    expect(requests(100, 20, 8 * MiB)).toBe(false);
    expect(free()).toBe(4);
  });

  test('are never more than asked for', () => {
    const { requests, free } = windowOf(4, 2);
    expect(requests(100, 20)).toBe(false);
    expect(free()).toBe(2);
  });
});
