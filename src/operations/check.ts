/** `check`: looks for structural damage and repairs it. */
import { verifyBelow } from '../block/graph/bottom.ts';
import { asBlockError, BlockError, unsupported } from '../base/error.ts';
import { hintText } from '../base/hint.ts';
import type { CheckFindings, RepairMode } from '../block/capabilities.ts';
import type { ImageNode } from '../block/node/node.ts';
import type { ReportLine } from '../block/report.ts';
import type { OperationContext } from './context.ts';
import type { CheckRequest, Repairs } from './requests.ts';
import { imageName, oneOf } from './shorthand.ts';
import { withSource } from './source.ts';

export type { CheckFindings };

/** What became of a check. */
export type CheckResult =
  | {
      /**
       * `clean`: nothing is wrong (any more). `leaks`: only space is wasted. `corrupt`: data is at risk.
       * `incomplete`: errors kept the check from looking everywhere.
       */
      readonly kind: 'clean' | 'leaks' | 'corrupt' | 'incomplete';
      readonly filename: string;
      readonly format: string;
      /** State after repairs, and the numbers of repairs. */
      readonly findings: CheckFindings;
    }
  | {
      /** The format has no checks, or cannot do those repairs. */
      readonly kind: 'unsupported';
      readonly filename: string;
      readonly format: string;
    };

/** Follows a check while it runs; by default, what the request has for that does. */
export interface CheckObserver {
  /** A line of the report, as the format's check reports it. */
  line?(line: ReportLine): void;
  /** Something was repaired, and the image is going to be checked again. */
  repaired?(repairs: Repairs): void;
}

/**
 * Checks an image, repairs it if asked to, and then checks it again.
 * @throws BlockError `Check failed: ...` if the check broke off.
 */
export async function check(
  context: OperationContext,
  request: CheckRequest,
  observer: CheckObserver = observerIn(request),
): Promise<CheckResult> {
  const { repair = 'none', deep = false, cache, forceShare } = request;
  oneOf('repair', repair, ['none', 'leaks', 'all']);
  const how = {
    intent: 'check',
    writable: repair !== 'none',
    keyless: deep && repair === 'none',
    cache,
    forceShare,
  } as const;
  return withSource(context, request.image, how, async (node) => {
    const result = await checkNode(node, request, bounded(observer, context.services.limits.reportLines));
    await verifyBelow(node);
    return result;
  });
}

/** The observer without the lines beyond the first so many; what hostile images would add is only counted. */
function bounded(observer: CheckObserver, most: number): CheckObserver {
  let lines = 0;
  return {
    line: (line) => (lines++ < most ? observer.line?.(line) : undefined),
    repaired: (repairs) => observer.repaired?.(repairs),
  };
}

/** The observer that is part of a request; advice becomes text. */
function observerIn(request: CheckRequest): CheckObserver {
  return {
    line: ({ severity, text, hint }) => request.line?.({ severity, text: hint ? `${text}\n${hintText(hint)}` : text }),
    repaired: (repairs) => request.repaired?.(repairs),
  };
}

async function checkNode(node: ImageNode, request: CheckRequest, observer: CheckObserver): Promise<CheckResult> {
  const { repair: wanted = 'none', deep = false } = request;
  const subject = { filename: imageName(request.image), format: node.format };
  const { checks } = node;
  if (!checks || (checks.deepOnly && !deep)) return { kind: 'unsupported', ...subject };
  if (wanted !== 'none' && !checks.repairs) {
    if (!checks.deepOnly) return { kind: 'unsupported', ...subject };
    throw unsupported(`A deep check of format '${node.format}' cannot repair anything`);
  }
  const run = (repair: RepairMode): Promise<CheckFindings | undefined> => runCheck(node, repair, deep, observer);
  let findings = await run(wanted);
  if (!findings) return { kind: 'unsupported', ...subject };
  const { leaksFixed, corruptionsFixed } = findings;
  if (leaksFixed > 0 || corruptionsFixed > 0) {
    await node.flush();
    observer.repaired?.({ leaks: leaksFixed, corruptions: corruptionsFixed });
    const again = await run('none');
    if (again) findings = { ...again, leaksFixed, corruptionsFixed };
  }
  return { kind: verdict(findings), ...subject, findings };
}

/** Undefined if the format cannot do that. */
async function runCheck(
  node: ImageNode,
  repair: RepairMode,
  deep: boolean,
  observer: CheckObserver,
): Promise<CheckFindings | undefined> {
  try {
    return await node.check(repair, (line) => observer.line?.(line), deep);
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.kind === 'unsupported') return undefined;
    throw new BlockError(error.kind, `Check failed: ${error.strerror}`, {
      cause: error,
      context: error.context,
      posix: { code: error.code, text: error.strerror },
    });
  }
}

function verdict(findings: CheckFindings): 'clean' | 'leaks' | 'corrupt' | 'incomplete' {
  if (findings.checkErrors > 0) return 'incomplete';
  if (findings.corruptions > 0) return 'corrupt';
  return findings.leaks > 0 ? 'leaks' : 'clean';
}
