/** What an operation works in when images come from somebody else. */
import { Deadline } from '../block/graph/deadline.ts';
import { closedGate } from '../block/graph/gate.ts';
import { type ResourceLimits, UNTRUSTED_LIMITS } from '../block/limits.ts';
import { boundedCodec } from '../codec/bounded.ts';
import type { OperationContext } from './context.ts';

/** Verbs that look at an image and not at what is in it: `seconds` is the limit of their time. */
const LOOKING: readonly string[] = ['check', 'info', 'inspect', 'map', 'measure', 'snapshot'];

/** The context with other limits: they count for one operation. */
export function limitedContext(context: OperationContext, verb: string, limits: ResourceLimits): OperationContext {
  const { services } = context;
  const timed = LOOKING.includes(verb) && limits.seconds !== Number.POSITIVE_INFINITY;
  return {
    ...context,
    services: { ...services, limits, codec: boundedCodec(services.codec, limits.decompressedBytes) },
    ...(timed ? { deadline: new Deadline(services, limits.seconds) } : {}),
  };
}

/**
 * The context for an image that nobody vouches for: nothing that it names is opened, what it has that is not known is an
 * error, its format is not guessed for writing, and {@link UNTRUSTED_LIMITS} bound what it may cost.
 * @param limits those that differ from these.
 */
export function untrustedContext(
  context: OperationContext,
  verb: string,
  limits: Partial<ResourceLimits> = {},
): OperationContext {
  return limitedContext({ ...context, gate: closedGate }, verb, { ...UNTRUSTED_LIMITS, ...limits });
}
