/** What was found of each rule. */
import { type Inspection, INSPECT_RULES, type InspectRule } from '../../block/inspection.ts';
import type { ResourceLimits } from '../../block/limits.ts';
import { protocolPrefix } from '../../options/filename.ts';

/** Reasons that are kept of a rule: hostile images would give any number. */
const MOST_REASONS = 8;
/** Names that are kept. */
const MOST_NAMES = 256;

/** One rule and what came of it. */
export interface InspectCheck {
  readonly rule: InspectRule;
  readonly verdict: 'pass' | 'fail' | 'unknown';
  /** Why it failed or cannot be told, or what is worth saying though it passed. */
  readonly reasons: readonly string[];
}

/** Something that a program would open for the image. */
export interface InspectName {
  readonly role: string;
  /** As stored. */
  readonly name: string;
}

/** Collects what is found. */
export class Findings implements Inspection {
  readonly limits: ResourceLimits;
  readonly names: InspectName[] = [];
  readonly #checks = new Map<InspectRule, { verdict: InspectCheck['verdict']; reasons: string[] }>();

  constructor(limits: ResourceLimits) {
    this.limits = limits;
  }

  fail(rule: InspectRule, why: string): void {
    this.#add(rule, 'fail', why);
  }

  unknown(rule: InspectRule, why: string): void {
    this.#add(rule, 'unknown', why);
  }

  note(rule: InspectRule, what: string): void {
    this.#add(rule, 'pass', what);
  }

  name(role: string, name: string): void {
    if (this.names.some((one) => one.name === name)) return;
    const problem = whatIsOdd(name);
    if (problem !== undefined) this.fail('names', `the name of the ${role} ${problem}: '${name}'`);
    if (this.names.length < MOST_NAMES) this.names.push({ role, name });
  }

  /** True if one of the rules is known to be broken. */
  hasFailed(...rules: readonly InspectRule[]): boolean {
    return rules.some((rule) => this.#checks.get(rule)?.verdict === 'fail');
  }

  /** True if something was said of a rule. */
  isTold(rule: InspectRule): boolean {
    return this.#checks.has(rule);
  }

  /** True if a rule is not known to hold. */
  isOpen(rule: InspectRule): boolean {
    return (this.#checks.get(rule)?.verdict ?? 'pass') !== 'pass';
  }

  /** All rules, in their order. */
  get checks(): readonly InspectCheck[] {
    return INSPECT_RULES.map((rule) => ({ rule, verdict: 'pass', reasons: [], ...this.#checks.get(rule) }));
  }

  /** What weighs more displaces what weighs less, with its reasons. */
  #add(rule: InspectRule, verdict: InspectCheck['verdict'], reason: string): void {
    const order = ['pass', 'unknown', 'fail'];
    const known = this.#checks.get(rule);
    if (!known || order.indexOf(verdict) > order.indexOf(known.verdict)) {
      this.#checks.set(rule, { verdict, reasons: [reason] });
    } else if (known.verdict === verdict && known.reasons.length < MOST_REASONS && !known.reasons.includes(reason)) {
      known.reasons.push(reason);
    }
  }
}

/** What a stored name has that names of files beside the image do not need. */
function whatIsOdd(name: string): string | undefined {
  if (name.startsWith('json:')) return 'is a description (json:)';
  if (protocolPrefix(name) !== undefined) return 'begins with a protocol';
  if (name.startsWith('/')) return 'is absolute';
  if (name.split('/').includes('..')) return 'leads out of the directory';
  // oxlint-disable-next-line no-control-regex -- that is what is looked for
  return /[\u0000-\u001f\u007f]/.test(name) ? 'has control characters' : undefined;
}
