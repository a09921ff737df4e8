/** How rows that convert are made. */
import { secretOf } from '../inputs.mjs';

/** @typedef {import('../types.ts').Row} Row */

/** Formats that the real program checks. */
const CHECKED = new Set(['qcow2', 'qed', 'vdi', 'vmdk', 'vhdx', 'parallels']);

/** An image as `--image-opts` names it; encrypted ones need their secret besides. */
function described(/** @type {string} */ name) {
  const format = name.slice(name.lastIndexOf('.') + 1);
  return [`driver=${format}`, ...secretOf(name), `file.filename=${name}`].join(',');
}

/**
 * A row that converts `from` to `to`; the formats are the endings of the names. What comes of it has to be sound, and to have
 * the same content.
 * @param {string} from
 * @param {string} to
 * @param {Partial<Row> & { readonly options?: readonly string[] }} [more]
 * @returns {Row}
 */
export function convert(from, to, { options = [], ...more } = {}) {
  const [source, target] = [from, to].map((name) => name.slice(name.lastIndexOf('.') + 1));
  const secret = [...secretOf(from), ...secretOf(to)].length > 0 ? ['--object', 'secret,id=key,data=passphrase'] : [];
  const input = secretOf(from).length > 0 ? ['--image-opts', described(from)] : ['-f', source, from];
  const compared =
    secret.length > 0 ? ['--image-opts', described(from), described(to)] : ['-f', source, '-F', target, from, to];
  return {
    name: `${source} -> ${target}`,
    argv: ['convert', ...secret, '-O', target, ...options, ...input, to],
    needs: [from],
    outputs: [to],
    verify: [
      ['compare', ...secret, ...compared],
      ...(CHECKED.has(target)
        ? [['check', ...(secret.length > 0 ? [...secret, '--image-opts', described(to)] : ['-f', target, to])]]
        : []),
    ],
    ...more,
  };
}
