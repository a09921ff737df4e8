/** Reading TypeScript sources for the checks: files, syntax trees, imports. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync } from 'rolldown/utils';

/**
 * A node of a syntax tree (ESTree with TypeScript nodes); what else it has, its `type` says.
 * @typedef {Record<string, any> & { readonly type: string, readonly start: number, readonly end: number }} Node
 */

/**
 * A parsed file. `line` gives the number of the line at a position.
 * @typedef {object} Source
 * @property {Record<string, any> & { readonly type: string, readonly start: number, readonly end: number, readonly body: Node[] }} program
 * @property {readonly { readonly type: string, readonly value: string, readonly start: number, readonly end: number }[]} comments
 * @property {string} text
 * @property {(position: number) => number} line
 */

/**
 * Paths below `root` of all files in `folder` whose name ends in `suffix`, sorted, with forward slashes.
 * @param {string} root
 * @param {string} folder
 * @param {string} suffix
 * @returns {string[]}
 */
export function filesIn(root, folder, suffix) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) return filesIn(root, path, suffix);
      return entry.name.endsWith(suffix) ? [path] : [];
    })
    .sort();
}

/** The parsed file: `program` (ESTree with TypeScript nodes), `comments`, `text`, and `line(position)`. */
export function parse(/** @type {string} */ root, /** @type {string} */ path) {
  return parseText(path, readFileSync(join(root, path), 'utf8'));
}

/**
 * The same for a text that need not be in a file; `path` is for messages.
 * @param {string} path
 * @param {string} text
 * @returns {Source}
 */
export function parseText(path, text) {
  const { program, comments, errors } = parseSync(path, text, { lang: 'ts', sourceType: 'module' });
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  return {
    // Its node types are exact; here nodes are told apart by what they are asked for.
    program: /** @type {any} */ (program),
    comments,
    text,
    line: (position) => text.slice(0, position).split('\n').length,
  };
}

/** @type {(value: unknown) => value is Node} */
function isNode(value) {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Calls `visit` for every node of a syntax tree. */
export function walk(/** @type {Node} */ node, /** @type {(node: Node) => void} */ visit) {
  visit(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, visit);
  }
}

/** Every module that a file names: imports, re-exports, dynamic imports, and types written as `import('...')`. */
export function importsOf(/** @type {Source} */ source) {
  /** @type {{ name: string, line: number }[]} */
  const found = [];
  walk(source.program, (node) => {
    if (!/^(Import(Declaration|Expression)|Export(All|Named)Declaration|TSImportType)$/.test(node.type)) return;
    if (typeof node.source?.value !== 'string') return;
    found.push({ name: node.source.value, line: source.line(node.start) });
  });
  return found;
}

/** Every text of a file: string literals, and the fixed parts of templates. */
export function textsOf(/** @type {Source} */ source) {
  /** @type {{ value: string, line: number }[]} */
  const found = [];
  walk(source.program, (node) => {
    const value =
      node.type === 'TemplateElement' ? node.value.cooked : node.type === 'Literal' ? node.value : undefined;
    if (typeof value === 'string') found.push({ value, line: source.line(node.start) });
  });
  return found;
}
