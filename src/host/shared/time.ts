/** Clocks and waiting, on every platform: all of them have timers. */

declare const setTimeout: (callback: () => void, milliseconds: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

/** Resolves after so many milliseconds, or as soon as the signal fires. See `Services.wait`. */
export function wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
    if (signal?.aborted) finish();
  });
}

/** Seconds and nanoseconds since 1970, UTC. */
export function now(): { readonly seconds: number; readonly nanoseconds: number } {
  const milliseconds = Date.now();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1e6 };
}

/** Offset of the time zone in seconds east of UTC. */
export function zoneOffset(seconds: number): number {
  return new Date(seconds * 1000).getTimezoneOffset() * -60 || 0;
}
