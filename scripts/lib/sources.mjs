/** Reading TypeScript sources for the checks: files, syntax trees, imports. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync } from 'rolldown/utils';

/** Paths below `root` of all files in `folder` whose name ends in `suffix`, sorted, with forward slashes. */
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
export function parse(root, path) {
  return parseText(path, readFileSync(join(root, path), 'utf8'));
}

/** The same for a text that need not be in a file; `path` is for messages. */
export function parseText(path, text) {
  const { program, comments, errors } = parseSync(path, text, { lang: 'ts', sourceType: 'module' });
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  return { program, comments, text, line: (position) => text.slice(0, position).split('\n').length };
}

function isNode(value) {
  return typeof value === 'object' && value !== null && typeof value.type === 'string';
}

/** Calls `visit` for every node of a syntax tree. */
export function walk(node, visit) {
  visit(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, visit);
  }
}

/** True for an import that leaves nothing behind at run time. */
function isTypeOnly(node) {
  if (node.importKind === 'type' || node.exportKind === 'type' || node.type === 'TSImportType') return true;
  const named = node.specifiers ?? [];
  return named.length > 0 && named.every((one) => (one.importKind ?? one.exportKind) === 'type');
}

/** Every module that a file names: imports, re-exports, dynamic imports, and types written as `import('...')`. */
export function importsOf(source) {
  const found = [];
  walk(source.program, (node) => {
    if (!/^(Import(Declaration|Expression)|Export(All|Named)Declaration|TSImportType)$/.test(node.type)) return;
    if (typeof node.source?.value !== 'string') return;
    found.push({ name: node.source.value, line: source.line(node.start), typeOnly: isTypeOnly(node) });
  });
  return found;
}

/** Every text of a file: string literals, and the fixed parts of templates. */
export function textsOf(source) {
  const found = [];
  walk(source.program, (node) => {
    const value =
      node.type === 'TemplateElement' ? node.value.cooked : node.type === 'Literal' ? node.value : undefined;
    if (typeof value === 'string') found.push({ value, line: source.line(node.start) });
  });
  return found;
}
