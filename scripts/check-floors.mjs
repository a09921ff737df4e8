/**
 * Enforces the floors of docs/ARCHITECTURE.md: a folder imports only from lower floors, and folders of one floor do not
 * know each other. No files import each other in a circle. Type-only imports obey the same rules. No text below the
 * program is about its command line, no driver is known by its name where all of them meet, and files of the host are
 * reached by protocols only. Usage: node scripts/check-floors.mjs [directory with src/]
 */
import { existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesIn, importsOf, parse, textsOf, walk } from './lib/sources.mjs';

/** @typedef {import('./lib/sources.mjs').Source} Source */

/** Which unit a file belongs to, and its floor. Units of one floor are blind to each other. */
const FLOORS = [
  { floor: 0, path: /^src\/(base)\// },
  { floor: 1, path: /^src\/(storage|options|codec|crypto)\// },
  { floor: 2, path: /^src\/(block)\// },
  { floor: 3, path: /^src\/((?:formats|protocols|filters)\/[^/]+)\// },
  { floor: 4, path: /^src\/(operations)\// },
  { floor: 4, path: /^src\/(host\/shared)\// },
  { floor: 4, path: /^src\/(drivers\.ts)$/ },
  { floor: 5, path: /^src\/(report|host\/node|host\/portable)\// },
  { floor: 6, path: /^src\/(host\/bun)\// },
  { floor: 6, path: /^src\/()(?:index|node|testing)\.ts$/, unit: 'the entry points' },
  { floor: 7, path: /^src\/(cli)\// },
];

/** The only places that may know the platform. */
const PLATFORM = /^src\/(host\/(?:bun|node)|cli)\//;
/** Entry points for every platform, and what they must not stand on. */
const PORTABLE_ENTRY = /^src\/(?:index|testing)\.ts$/;
const NODE_ONLY = /^src\/(?:host\/(?:bun|node)\/|node\.ts$)/;
/** The only places that may load packages; everything else gets what it needs passed in. */
const PACKAGES = /^src\/host\//;
/** Words that only the program says; the library has its own (src/base/hint.ts). */
const PROGRAM_WORDS = /qemu-img|(?:^|[\s'(])--[a-z]/;
/** The only place that says them. */
const SPEAKER = /^src\/cli\//;
/** Where no driver is known by its name: what a format or a protocol is like, it says itself. */
const NAMELESS = /^src\/(block|operations)\//;
/** A driver whose name means something else, too: the role of what lies below an image. */
const ROLE = 'file';
/** Where files are reached by the names of protocols only: objects may be somewhere else. */
const FILELESS = /^src\/(block|operations|formats|filters)\//;
/** Where one image must not leave anything behind for the next. */
const STATELESS = /^src\/(formats|protocols|filters|operations)\//;

function placeOf(/** @type {string} */ path) {
  for (const { floor, path: pattern, unit } of FLOORS) {
    const match = pattern.exec(path);
    if (match) return { floor, unit: unit ?? match[1] };
  }
  return undefined;
}

function isBuiltin(/** @type {string} */ name) {
  return name.startsWith('node:') || builtinModules.includes(name.split('/')[0]);
}

/** Why `from` may not import the module `name`; undefined if it may. */
function objectionTo(/** @type {string} */ root, /** @type {string} */ from, /** @type {string} */ name) {
  if (isBuiltin(name))
    return PLATFORM.test(from) ? undefined : 'the platform is known to src/host/node, src/host/bun and src/cli only';
  if (!name.startsWith('.')) return PACKAGES.test(from) ? undefined : 'packages are loaded in src/host only';
  const target = posix.join(posix.dirname(from), name);
  if (!existsSync(join(root, target))) return 'there is no such file';
  const here = placeOf(from);
  const there = placeOf(target);
  if (!here || !there) return 'it belongs to no floor';
  if (PORTABLE_ENTRY.test(from) && NODE_ONLY.test(target)) return 'this entry point is for every platform';
  if (here.unit === there.unit || there.floor < here.floor) return undefined;
  if (there.floor > here.floor) return `floor ${there.floor} is above floor ${here.floor}`;
  return `${here.unit} and ${there.unit} of floor ${here.floor} are blind to each other`;
}

/** The names of all drivers. */
function driversIn(/** @type {string} */ root) {
  const names = new Set();
  if (!existsSync(join(root, 'src/drivers.ts'))) return names;
  walk(parse(root, 'src/drivers.ts').program, (node) => {
    if (node.type === 'Property' && node.key.name === 'name' && node.value.type === 'Literal')
      names.add(node.value.value);
  });
  names.delete(ROLE);
  return names;
}

function stateOf(/** @type {Source} */ source) {
  return source.program.body
    .map((node) => node.declaration ?? node)
    .filter((node) => node.type === 'VariableDeclaration' && !node.declare && node.kind !== 'const')
    .map((node) => source.line(node.start));
}

/** Import cycles between files, each once, as lists of paths. */
function cyclesIn(/** @type {ReadonlyMap<string, ReadonlySet<string>>} */ graph) {
  /** @type {string[][]} */
  const cycles = [];
  const done = new Set();
  /** @type {string[]} */
  const trail = [];
  const visit = (/** @type {string} */ path) => {
    const seen = trail.indexOf(path);
    if (seen >= 0) cycles.push([...trail.slice(seen), path]);
    if (seen >= 0 || done.has(path)) return;
    trail.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return cycles;
}

function isFiles(/** @type {import('./lib/sources.mjs').Node | undefined} */ key) {
  return key?.type === 'Identifier' && key.name === 'files';
}

/** Lines that reach for the files of the host: `services.files`, or the same taken apart. */
function fileUsesIn(/** @type {Source} */ source) {
  /** @type {number[]} */
  const lines = [];
  walk(source.program, (node) => {
    const taken =
      node.type === 'ObjectPattern' &&
      node.properties.some((/** @type {Record<string, any>} */ { key }) => isFiles(key));
    if (taken || (node.type === 'MemberExpression' && isFiles(node.property))) lines.push(source.line(node.start));
  });
  return lines;
}

/** Every breach of the rules below `root`, one line each. */
function breachesIn(/** @type {string} */ root) {
  const breaches = [];
  const graph = new Map();
  const drivers = driversIn(root);
  for (const path of filesIn(root, 'src', '.ts')) {
    const source = parse(root, path);
    if (!placeOf(path)) {
      breaches.push(`${path}: belongs to no floor`);
      continue;
    }
    const imports = importsOf(source);
    for (const { name, line } of imports) {
      const objection = objectionTo(root, path, name);
      if (objection) breaches.push(`${path}:${line}: may not import '${name}': ${objection}`);
    }
    const relative = imports.filter(({ name }) => name.startsWith('.'));
    graph.set(path, new Set(relative.map(({ name }) => posix.join(posix.dirname(path), name))));
    if (!SPEAKER.test(path)) {
      for (const { value, line } of textsOf(source)) {
        if (PROGRAM_WORDS.test(value)) breaches.push(`${path}:${line}: only src/cli speaks of the command line`);
      }
    }
    if (NAMELESS.test(path)) {
      for (const { value, line } of textsOf(source)) {
        if (drivers.has(value)) breaches.push(`${path}:${line}: knows the driver '${value}' by its name`);
      }
    }
    if (FILELESS.test(path)) {
      for (const line of fileUsesIn(source)) breaches.push(`${path}:${line}: files are for protocols to reach`);
    }
    if (STATELESS.test(path)) {
      for (const line of stateOf(source)) breaches.push(`${path}:${line}: module-scope state that can change`);
    }
  }
  for (const cycle of cyclesIn(graph)) breaches.push(`import cycle: ${cycle.join(' -> ')}`);
  return breaches;
}

const breaches = breachesIn(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));
for (const breach of breaches) console.error(breach);
process.exitCode = breaches.length > 0 ? 1 : 0;
