/** `--object throttle-group`: its limits, and which of them do not go together. */
import { invalidArgument } from '../base/error.ts';
import type { ThrottleGroup, ThrottleLimits } from '../block/objects.ts';
import { isTree, type OptionNode } from '../options/dotted.ts';

/** Most bytes or requests in a second, and in one burst. */
const MAX_RATE = 1e15;
const MAX_LENGTH = 0xffffffff;

const UNITS = ['bps', 'iops'] as const;
const DIRECTIONS = ['total', 'read', 'write'] as const;

/** The group of these properties, whose kinds were checked: older names (`x-`) count first, then `limits`. */
export function throttleGroup(values: Readonly<Record<string, OptionNode>>): ThrottleGroup {
  const limits: Record<string, number> = {};
  for (const [name, value] of Object.entries(values)) {
    if (!name.startsWith('x-') || typeof value !== 'number') continue;
    if (value < 0) throw invalidArgument('Property values cannot be negative');
    // The missing blank is the real tool's.
    if (isTooLong(name, value)) throw invalidArgument(`${name} value must be in therange [0, ${MAX_LENGTH}]`);
    limits[name.slice(2)] = value;
  }
  for (const [name, value] of Object.entries(isTree(values['limits']) ? values['limits'] : {})) {
    if (typeof value !== 'number') continue;
    if (isTooLong(name, value)) throw invalidArgument(`${name} value must be in the range [0, ${MAX_LENGTH}]`);
    limits[name] = value;
  }
  check(limits);
  return { type: 'throttle-group', limits };
}

function isTooLong(name: string, value: number): boolean {
  return name.endsWith('-max-length') && value > MAX_LENGTH;
}

function check(limits: ThrottleLimits): void {
  for (const unit of UNITS) {
    for (const suffix of ['', '-max'] as const) {
      const parts = limits[`${unit}-read${suffix}`] || limits[`${unit}-write${suffix}`];
      if (!limits[`${unit}-total${suffix}`] || !parts) continue;
      throw invalidArgument('bps/iops/max total values and read/write values cannot be used at the same time');
    }
  }
  if (limits['iops-size'] && !DIRECTIONS.some((direction) => limits[`iops-${direction}`])) {
    throw invalidArgument('iops size requires an iops value to be set');
  }
  for (const unit of UNITS) {
    for (const direction of DIRECTIONS) {
      const name = `${unit}-${direction}` as const;
      checkBurst(limits[name] ?? 0, limits[`${name}-max`] ?? 0, limits[`${name}-max-length`] ?? 1);
    }
  }
}

/** @param length seconds; to the real tool negative ones are very many. */
function checkBurst(rate: number, burst: number, length: number): void {
  if (rate < 0 || burst < 0 || rate > MAX_RATE || burst > MAX_RATE) {
    throw invalidArgument(`bps/iops/max values must be within [0, ${MAX_RATE}]`);
  }
  if (length === 0) throw invalidArgument('the burst length cannot be 0');
  const seconds = length < 0 ? 2 ** 64 + length : length;
  if (seconds > 1 && burst === 0) throw invalidArgument('burst length set without burst rate');
  if (burst * seconds > MAX_RATE) throw invalidArgument('burst length too high for this burst rate');
  if (burst > 0 && rate === 0) throw invalidArgument('bps_max/iops_max require corresponding bps/iops values');
  if (burst > 0 && burst < rate) throw invalidArgument('bps_max/iops_max cannot be lower than bps/iops');
}
