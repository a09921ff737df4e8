/**
 * Hooks of Node's loader, for a Node before 20.17: rolldown colours its own messages with `util.styleText`, which is not
 * there yet, or knows no lists of formats. It gets one that leaves them plain.
 */

/** Gives this file, as a module, for `node:util` where rolldown asks for it. */
export function resolve(
  /** @type {string} */ specifier,
  /** @type {{ readonly parentURL?: string }} */ context,
  /** @type {(specifier: string, context: object) => unknown} */ next,
) {
  if (specifier !== 'node:util' || !context.parentURL?.includes('/node_modules/rolldown/'))
    return next(specifier, context);
  return { url: `${import.meta.url}?module`, shortCircuit: true };
}

export * from 'node:util';

/** Takes the place of `util.styleText`. */
export function styleText(/** @type {unknown} */ _format, /** @type {string} */ text) {
  return text;
}
