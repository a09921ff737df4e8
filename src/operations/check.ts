/** `check`: looks for structural damage and repairs it. */
import { asBlockError, BlockError } from '../base/error.ts';
import type { CheckFindings } from '../block/capabilities.ts';
import type { ImageNode } from '../block/node.ts';
import type { ReportDetail } from '../block/report.ts';
import type { OperationContext } from './context.ts';
import type { CheckRequest } from './requests.ts';
import { withSource } from './source.ts';

export type { CheckFindings };

/** Repairs that were made. */
export interface Repairs {
  readonly leaks: number;
  readonly corruptions: number;
}

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

/** Follows a check while it runs. */
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
  observer: CheckObserver = {},
): Promise<CheckResult> {
  const how = {
    intent: 'check',
    writable: request.repair !== 'none',
    keyless: request.deep === true && request.repair === 'none',
    forceShare: request.forceShare,
    ...(request.cache === undefined ? {} : { cache: request.cache }),
  } as const;
  return withSource(context, request.image, how, (node) => checkNode(node, request, observer));
}

async function checkNode(node: ImageNode, request: CheckRequest, observer: CheckObserver): Promise<CheckResult> {
  const subject = { filename: request.image.filename, format: node.format };
  const deep = request.deep === true;
  const { checks } = node;
  if (!checks || (checks.deepOnly && !deep)) return { kind: 'unsupported', ...subject };
  if (request.repair !== 'none' && !checks.repairs) {
    if (!checks.deepOnly) return { kind: 'unsupported', ...subject };
    throw new BlockError('unsupported', `A deep check of format '${node.format}' cannot repair anything`);
  }
  const run = (repair: CheckRequest['repair']): Promise<CheckFindings | undefined> =>
    runCheck(node, repair, deep, observer);
  let findings = await run(request.repair);
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
  repair: CheckRequest['repair'],
  deep: boolean,
  observer: CheckObserver,
): Promise<CheckFindings | undefined> {
  try {
    return await node.check(repair, (line, stream, detail) => observer.line?.(line, stream, detail), deep);
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
