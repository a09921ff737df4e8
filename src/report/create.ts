/** What `create` prints. */
import type { CreatePlan } from '../operations/create.ts';

/** The line that says what is going to be written. */
export function formatCreate(plan: CreatePlan): string {
  const options = plan.options.map(([name, text]) => ` ${name}=${text}`).join('');
  return `Formatting '${plan.filename}', fmt=${plan.format}${options}\n`;
}
