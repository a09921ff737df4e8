/** `check`: operation, printing, and exit codes 1, 2, 3 and 63. */
import { check } from '../../operations/check.ts';
import type { CheckRequest } from '../../operations/requests.ts';
import { checkError, checkExitCode, formatCheck, formatCheckJson, formatRepairs } from '../../report/check.ts';
import { programHint } from '../hints.ts';
import type { Executor } from './executor.ts';

/** Checks an image. Reports are for people only; errors of the check itself are always shown. */
export const execute: Executor<CheckRequest> = async (context, request, view, { out, err }) => {
  const talk = !view.json && !view.quiet;
  const result = await check(context, request, {
    line(text, stream, { isError, hint } = {}) {
      const lines = `${isError ? 'qemu-img: ' : ''}${text}\n${hint ? `${programHint(hint)}\n` : ''}`;
      if (stream === 'err') err(lines);
      else if (talk) out(lines);
    },
    repaired(repairs) {
      if (talk) out(formatRepairs(repairs));
    },
  });
  if (result.kind !== 'unsupported' && !view.quiet) out(view.json ? formatCheckJson(result) : formatCheck(result));
  const error = checkError(result);
  if (error !== undefined) err(`qemu-img: ${error}\n`);
  return checkExitCode(result);
};
