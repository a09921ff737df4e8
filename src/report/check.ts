/** What `check` prints, and the exit codes that scripts know. */
import { exactDecimal } from '../base/size.ts';
import type { CheckResult, Findings } from '../operations/check.ts';
import type { Repairs } from '../operations/requests.ts';
import { formatJson } from './json.ts';

/** Exit code of each outcome. */
const EXIT_CODES: Readonly<Record<CheckResult['kind'], number>> = {
  clean: 0,
  incomplete: 1,
  corrupt: 2,
  leaks: 3,
  unsupported: 63,
};

/** The exit code of `check` for a result. */
export function checkExitCode(result: CheckResult): number {
  return EXIT_CODES[result.kind];
}

/** The error line that goes with a result; undefined if there is none. */
export function checkError(result: CheckResult): string | undefined {
  if (result.kind === 'unsupported') return 'This image format does not support checks';
  return result.kind === 'incomplete' ? 'Check failed' : undefined;
}

/** What is printed between the repair and the second check. */
export function formatRepairs(repairs: Repairs): string {
  return (
    'The following inconsistencies were found and repaired:\n\n' +
    `    ${repairs.leaks} leaked clusters\n    ${repairs.corruptions} corruptions\n\n` +
    'Double checking the fixed image now...\n'
  );
}

/** For people. */
export function formatCheck(result: CheckResult): string {
  if (result.kind === 'unsupported') return '';
  const { findings } = result;
  const found = problems(findings);
  const summary = found === '' ? 'No errors were found on the image.\n' : found;
  return summary + statistics(findings);
}

function problems(findings: Findings): string {
  let text = '';
  if (findings.corruptions > 0) {
    text +=
      `\n${findings.corruptions} errors were found on the image.\n` +
      'Data may be corrupted, or further writes to the image may corrupt it.\n';
  }
  if (findings.leaks > 0) {
    text +=
      `\n${findings.leaks} leaked clusters were found on the image.\n` +
      'This means waste of disk space, but no harm to data.\n';
  }
  if (findings.checkErrors > 0) text += `\n${findings.checkErrors} internal errors have occurred during the check.\n`;
  return text;
}

function statistics(findings: Findings): string {
  let text = '';
  const { clusters, imageEndOffset } = findings;
  if (clusters && clusters.total > 0 && clusters.allocated > 0) {
    text +=
      `${clusters.allocated}/${clusters.total} = ${percent(clusters.allocated, clusters.total)} allocated, ` +
      `${percent(clusters.fragmented, clusters.allocated)} fragmented, ` +
      `${percent(clusters.compressed, clusters.allocated)} compressed clusters\n`;
  }
  if (imageEndOffset) text += `Image end offset: ${exactDecimal(imageEndOffset)}\n`;
  return text;
}

function percent(part: number, whole: number): string {
  return `${twoDecimals((part * 100) / whole)}%`;
}

/** Two decimals as C rounds them: exactly between two numbers is the even one, where `toFixed` takes the larger. */
function twoDecimals(value: number): string {
  const exact = value.toFixed(20);
  const tie = /^(\d+\.\d[02468])50*$/.exec(exact);
  return tie?.[1] ?? value.toFixed(2);
}

/** For programs. Counts that are zero are left out, except for `check-errors`. */
export function formatCheckJson(result: CheckResult): string {
  if (result.kind === 'unsupported') return '';
  const { findings } = result;
  const value = {
    'image-end-offset': findings.imageEndOffset || undefined,
    'compressed-clusters': findings.clusters?.compressed || undefined,
    'total-clusters': findings.clusters?.total || undefined,
    corruptions: findings.corruptions || undefined,
    'corruptions-fixed': findings.corruptionsFixed || undefined,
    'check-errors': findings.checkErrors,
    leaks: findings.leaks || undefined,
    'leaks-fixed': findings.leaksFixed || undefined,
    'allocated-clusters': findings.clusters?.allocated || undefined,
    filename: result.filename,
    format: result.format,
    'fragmented-clusters': findings.clusters?.fragmented || undefined,
  };
  return `${formatJson(value)}\n`;
}
