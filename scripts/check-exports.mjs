/**
 * Everything that a user of the library meets in a type can be named: what the declaration of an exported function, class,
 * interface or type speaks of is exported from the same entry point. Usage: node scripts/check-exports.mjs [directory]
 */
import { readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isolatedDeclarationSync } from 'rolldown/experimental';
import { filesIn, parseText, walk } from './lib/sources.mjs';

/**
 * @typedef {import('./lib/sources.mjs').Node} Node
 * @typedef {{ readonly from: string, readonly name: string | undefined }} Import where a name comes from, if it is one thing
 * @typedef {{ readonly from?: string, readonly name: string }} Export
 */

/**
 * What a module declares, where its other names come from, and what it exports; `everything`: modules that it exports
 * as a whole.
 * @typedef {object} Module
 * @property {string} path
 * @property {Map<string, Node[]>} declared
 * @property {Map<string, Import>} imported
 * @property {Map<string, Export>} exported
 * @property {string[]} everything
 */

/**
 * @typedef {(path: string) => Module} Reader
 * @typedef {{ readonly path: string, readonly name: string }} Origin
 */

const ENTRY_POINTS = ['src/index.ts', 'src/node.ts', 'src/testing.ts'];

/** What a module declares, where its other names come from, and what it exports. */
function readModule(/** @type {string} */ root, /** @type {string} */ path) {
  const { code } = isolatedDeclarationSync(path, readFileSync(join(root, path), 'utf8'));
  /** @type {Module} */
  const module = { path, declared: new Map(), imported: new Map(), exported: new Map(), everything: [] };
  for (const node of parseText(path, code).program.body) addStatement(module, node);
  return module;
}

function addStatement(/** @type {Module} */ module, /** @type {Node} */ node) {
  const from = node.source && posix.join(posix.dirname(module.path), node.source.value);
  const own = !node.source || node.source.value.startsWith('.');
  if (node.type === 'ImportDeclaration') {
    if (!own) return;
    for (const { local, imported } of node.specifiers) module.imported.set(local.name, { from, name: imported?.name });
  } else if (node.type === 'ExportAllDeclaration') {
    if (own) module.everything.push(from);
  } else if (/^Export(Named|Default)Declaration$/.test(node.type) && node.declaration) {
    for (const name of addDeclaration(module, node.declaration)) module.exported.set(name, { name });
  } else if (node.type === 'ExportNamedDeclaration') {
    for (const { local, exported } of own ? node.specifiers : []) {
      module.exported.set(exported.name, node.source ? { from, name: local.name } : { name: local.name });
    }
  } else addDeclaration(module, node);
}

/** Notes a declaration under its names; overloads and merged interfaces belong together. */
function addDeclaration(/** @type {Module} */ module, /** @type {Node} */ declaration) {
  /** @type {string[]} */
  const names =
    declaration.declarations?.map((/** @type {Node} */ one) => one.id.name) ??
    (declaration.id ? [declaration.id.name] : []);
  for (const name of names) module.declared.set(name, [...(module.declared.get(name) ?? []), declaration]);
  return names;
}

/**
 * All modules by path, read when they are asked for.
 * @returns {Reader}
 */
function moduleReader(/** @type {string} */ root) {
  const modules = new Map();
  return (path) => {
    if (!modules.has(path)) modules.set(path, readModule(root, path));
    return modules.get(path);
  };
}

/**
 * The declaration behind a name of a module: where it is, and what it is called there; undefined for foreign names.
 * @type {(read: Reader, module: Module, name: string) => Origin | undefined}
 */
function originOf(read, module, name) {
  if (module.declared.has(name)) return { path: module.path, name };
  const link = module.imported.get(name);
  return link?.name === undefined ? undefined : exportOf(read, link.from, link.name);
}

/**
 * The declaration behind an export of the module at `path`.
 * @type {(read: Reader, path: string, name: string) => Origin | undefined}
 */
function exportOf(read, path, name) {
  const module = read(path);
  const link = module.exported.get(name);
  if (link) return link.from ? exportOf(read, link.from, link.name) : originOf(read, module, link.name);
  for (const other of module.everything) {
    const found = exportOf(read, other, name);
    if (found) return found;
  }
  return undefined;
}

/**
 * Every name that the module at `path` exports.
 * @type {(read: Reader, path: string) => string[]}
 */
function exportedNames(read, path) {
  const module = read(path);
  return [...module.exported.keys(), ...module.everything.flatMap((other) => exportedNames(read, other))];
}

/**
 * The first part of a name with dots.
 * @type {(name: Node) => Node}
 */
function headOf(name) {
  return name.type === 'TSQualifiedName' ? headOf(name.left) : name;
}

/** Types that a declaration names; its own type parameters are none. What is `typeof` a value is spelt out to whoever looks. */
function namesIn(/** @type {Node} */ declaration) {
  const names = new Set();
  const parameters = new Set();
  const add = (/** @type {Node | undefined} */ node) => {
    const head = node && headOf(node);
    if (head?.type === 'Identifier') names.add(head.name);
  };
  walk(declaration, (node) => {
    if (node.type === 'TSTypeParameter') parameters.add(node.name.name);
    else if (node.type === 'TSTypeReference') add(node.typeName);
    else if (node.type === 'TSInterfaceHeritage' || node.type === 'TSClassImplements') add(node.expression);
    else if (node.type === 'ClassDeclaration') add(node.superClass);
  });
  return [...names].filter((name) => !parameters.has(name));
}

function keyOf(/** @type {Origin} */ { path, name }) {
  return `${path}#${name}`;
}

/** What an entry point lets its users meet but not name, one line each. */
function forgottenIn(/** @type {Reader} */ read, /** @type {string} */ entry) {
  const origins = [...new Set(exportedNames(read, entry))].map((name) => exportOf(read, entry, name));
  const known = origins.filter((origin) => origin !== undefined);
  const exported = new Set(known.map(keyOf));
  const complaints = new Map();
  for (const { path, name } of known) {
    const module = read(path);
    for (const used of (module.declared.get(name) ?? []).flatMap(namesIn)) {
      const origin = originOf(read, module, used);
      if (!origin || exported.has(keyOf(origin)) || complaints.has(keyOf(origin))) continue;
      const text = `${entry}: '${origin.name}' (${origin.path}) is not exported, but '${name}' (${path}) speaks of it`;
      complaints.set(keyOf(origin), text);
    }
  }
  return [...complaints.values()];
}

const root = process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url)));
const read = moduleReader(root);
const entries = ENTRY_POINTS.filter((entry) => filesIn(root, 'src', '.ts').includes(entry));
const complaints = entries.flatMap((entry) => forgottenIn(read, entry));
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
