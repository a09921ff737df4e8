/** `check`: looks for structural damage and repairs it. */
import { asBlockError, BlockError } from '../base/error.ts';
import { hintText } from '../base/hint.ts';
import type { Checker, CheckResult as Findings, RepairMode } from '../block/driver.ts';
import type { ImageNode } from '../block/node.ts';
import type { ReportDetail } from '../block/report.ts';
import type { OperationContext } from './context.ts';
import type { CheckRequest, Repairs } from './requests.ts';
import { imageName } from './shorthand.ts';
import { withSource } from './source.ts';

export type { Findings };

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
      readonly findings: Findings;
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
  line?(text: string, stream: 'out' | 'err', detail?: ReportDetail): void;
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
  const how = {
    intent: 'check',
    writable: repair !== 'none',
    keyless: deep && repair === 'none',
    cache,
    forceShare,
  } as const;
  return withSource(context, request.image, how, (node) => checkNode(node, request, observer));
}

/** The observer that is part of a request; advice becomes text. */
function observerIn(request: CheckRequest): CheckObserver {
  return {
    line: (text, stream, { hint } = {}) => request.line?.(hint ? `${text}\n${hintText(hint)}` : text, stream),
    repaired: (repairs) => request.repaired?.(repairs),
  };
}

async function checkNode(node: ImageNode, request: CheckRequest, observer: CheckObserver): Promise<CheckResult> {
  const { repair: wanted = 'none' } = request;
  const subject = { filename: imageName(request.image), format: node.format };
  const checker = checkerOf(node, request);
  if (!checker) return { kind: 'unsupported', ...subject };
  const run = (repair: RepairMode): Promise<Findings | undefined> =>
    Promise.resolve(node.change(() => runChecker(checker, repair, observer)));
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

/** The checks of the format, and the deep ones where they are wanted. */
function checkerOf(node: ImageNode, request: CheckRequest): Checker | undefined {
  const { checker, deepChecker } = node.image;
  const { repair = 'none' } = request;
  if (!deepChecker || !request.deep || (checker && repair !== 'none')) return checker;
  if (repair !== 'none') {
    throw new BlockError('unsupported', `A deep check of format '${node.format}' cannot repair anything`);
  }
  return {
    async check(mode, report) {
      const findings = await checker?.check(mode, report);
      const deep = await deepChecker.check(report);
      return findings ? { ...findings, corruptions: findings.corruptions + deep.corruptions } : deep;
    },
  };
}

/** Undefined if the format cannot do that. */
async function runChecker(
  checker: Checker,
  repair: RepairMode,
  observer: CheckObserver,
): Promise<Findings | undefined> {
  try {
    return await checker.check(repair, (line, stream, detail) => observer.line?.(line, stream, detail));
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

function verdict(findings: Findings): 'clean' | 'leaks' | 'corrupt' | 'incomplete' {
  if (findings.checkErrors > 0) return 'incomplete';
  if (findings.corruptions > 0) return 'corrupt';
  return findings.leaks > 0 ? 'leaks' : 'clean';
}
