/**
 * How long requests have to wait. Each limit is a bucket with a hole (QEMU's docs/throttle.txt): requests fill it, it runs
 * empty at the rate of the limit, and while it is full everybody waits.
 */
import { Semaphore } from '../../base/async.ts';
import type { ThrottleGroup, ThrottleLimits } from '../../block/objects.ts';
import { secondsOf, type Services } from '../../block/services.ts';

/** What a request does. */
export type Direction = 'read' | 'write';

/** What part of a second a bucket holds that has no burst of its own. */
const USUAL_PART = 10;

/** A bucket that runs empty at `rate` units in a second. */
class Bucket {
  readonly #rate: number;
  readonly #capacity: number;
  #level = 0;

  constructor(rate: number, capacity: number) {
    this.#rate = rate;
    this.#capacity = capacity;
  }

  leak(seconds: number): void {
    this.#level = Math.max(0, this.#level - this.#rate * seconds);
  }

  /** Seconds until there is room. */
  wait(): number {
    return Math.max(0, (this.#level - this.#capacity) / this.#rate);
  }

  fill(units: number): void {
    this.#level += units;
  }
}

/** The buckets of one limit: one for its rate, and for bursts that may last longer one for the rate of those. */
function bucketsOf(limits: ThrottleLimits, name: `${'iops' | 'bps'}-${'total' | Direction}`): Bucket[] {
  const rate = limits[name] ?? 0;
  const burst = limits[`${name}-max`] ?? 0;
  const length = limits[`${name}-max-length`] ?? 1;
  if (rate <= 0) return [];
  if (burst <= 0) return [new Bucket(rate, rate / USUAL_PART)];
  const long = new Bucket(rate, burst * length);
  return length > 1 ? [long, new Bucket(burst, burst / USUAL_PART)] : [long];
}

/** Limits that several disks share. */
export class Meter {
  readonly #services: Pick<Services, 'now' | 'wait'>;
  readonly #requestSize: number;
  readonly #buckets: {
    readonly direction: 'total' | Direction;
    readonly counts: 'iops' | 'bps';
    readonly bucket: Bucket;
  }[];
  readonly #turn = new Semaphore(1);
  #last: number;

  constructor({ limits }: ThrottleGroup, services: Pick<Services, 'now' | 'wait'>) {
    this.#services = services;
    this.#requestSize = limits['iops-size'] ?? 0;
    this.#buckets = (['iops', 'bps'] as const).flatMap((counts) =>
      (['total', 'read', 'write'] as const).flatMap((direction) =>
        bucketsOf(limits, `${counts}-${direction}`).map((bucket) => ({ direction, counts, bucket })),
      ),
    );
    this.#last = secondsOf(this.#services);
  }

  /** Waits until a request may be made, in the order of coming. */
  async pass(direction: Direction, bytes: number): Promise<void> {
    const own = this.#buckets.filter((one) => one.direction === 'total' || one.direction === direction);
    if (own.length === 0) return;
    await this.#turn.run(async () => {
      for (;;) {
        this.#leak();
        const seconds = Math.max(...own.map(({ bucket }) => bucket.wait()));
        if (seconds <= 0) break;
        await this.#services.wait(Math.ceil(seconds * 1000));
      }
      for (const { counts, bucket } of own) bucket.fill(counts === 'bps' ? bytes : this.#requests(bytes));
    });
  }

  /** As how many requests one of so many bytes counts. */
  #requests(bytes: number): number {
    return this.#requestSize > 0 ? Math.max(1, bytes / this.#requestSize) : 1;
  }

  #leak(): void {
    const now = secondsOf(this.#services);
    // Clocks can be set back.
    const passed = Math.max(0, now - this.#last);
    this.#last = now;
    for (const { bucket } of this.#buckets) bucket.leak(passed);
  }
}

/** The meters of groups: all disks of a group share one for as long as the group is there. */
const METERS = new WeakMap<ThrottleGroup, Meter>();

/** The meter of a group. */
export function groupOf(group: ThrottleGroup, services: Pick<Services, 'now' | 'wait'>): Meter {
  const meter = METERS.get(group) ?? new Meter(group, services);
  METERS.set(group, meter);
  return meter;
}
