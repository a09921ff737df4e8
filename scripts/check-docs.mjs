/**
 * Documentation that a program can check: every export of src has a docblock, a check that is switched off has
 * a reason, links between pages lead somewhere, files that the guides name exist, the README names only commands and
 * formats that exist, and the page of a format names all of its files. Usage: node scripts/check-docs.mjs [directory]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesIn, parse } from './lib/sources.mjs';

/** @typedef {import('./lib/sources.mjs').Node} Node */

const REQUIRED_PAGES = ['README.md', 'docs/ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE'];
const ENTRY_POINTS = ['src/index.ts', 'src/node.ts', 'src/testing.ts'];

function nameOf(/** @type {Node} */ declaration) {
  return (
    declaration.id?.name ??
    declaration.declarations?.map((/** @type {Node} */ one) => one.id.name).join(', ') ??
    'default'
  );
}

/** Overloads share the docblock of the first of them. */
function continuesOverload(/** @type {Node | undefined} */ previous, /** @type {string} */ name) {
  return previous?.declaration?.type === 'TSDeclareFunction' && nameOf(previous.declaration) === name;
}

/** Exports without a docblock that ends right before them. */
function undocumentedIn(/** @type {string} */ root, /** @type {string} */ path) {
  const source = parse(root, path);
  const docblocks = source.comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*'));
  const hasDocblock = (/** @type {number} */ start) =>
    docblocks.some(({ end }) => end <= start && source.text.slice(end, start).trim() === '');
  const complaints = [];
  const isEntryPoint = ENTRY_POINTS.includes(path);
  if (isEntryPoint && !source.text.startsWith('/**'))
    complaints.push(`${path}:1: does not say what this entry point is for`);
  for (const { value, start } of source.comments) {
    if (!/oxlint-disable|biome-ignore|@ts-expect-error/.test(value) || / -- \S/.test(value)) continue;
    complaints.push(`${path}:${source.line(start)}: a check is switched off without a reason (" -- why")`);
  }
  // Declared first and exported in a list later: the declaration is where the docblock belongs.
  const listed = new Set(
    source.program.body.flatMap((node) =>
      node.source ? [] : (node.specifiers ?? []).map((/** @type {Node} */ one) => one.local?.name),
    ),
  );
  source.program.body.forEach((node, index) => {
    const exported = /^Export(Named|Default)Declaration$/.test(node.type) ? node.declaration : undefined;
    const declaration = exported ?? (node.type.endsWith('Declaration') && listed.has(nameOf(node)) ? node : undefined);
    if (!declaration || node.type === 'ImportDeclaration') return;
    const name = nameOf(declaration);
    if (hasDocblock(node.start) || continuesOverload(source.program.body[index - 1], name)) return;
    complaints.push(`${path}:${source.line(node.start)}: '${name}' is exported without a docblock`);
  });
  return complaints;
}

function withoutCode(/** @type {string} */ text) {
  return text.replace(/^(```|~~~)[^]*?^\1/gm, (block) => block.replace(/[^\n]/g, '')).replace(/`[^`\n]*`/g, '');
}

/** Relative links of a page to files that do not exist. */
function brokenLinksIn(/** @type {string} */ root, /** @type {string} */ page) {
  const text = withoutCode(readFileSync(join(root, page), 'utf8'));
  return [...text.matchAll(/\]\(<?([^)\s>]+)>?[^)]*\)/g)].flatMap(([, link]) => {
    if (/^([a-z][a-z0-9+.-]*:|#|\/\/)/i.test(link)) return [];
    const target = posix.join(posix.dirname(page), decodeURI(link.split('#')[0]));
    return existsSync(join(root, target)) ? [] : [`${page}: the link '${link}' leads nowhere`];
  });
}

/** Pages that lead through the sources by names of files. */
const GUIDES = ['docs/ARCHITECTURE.md', 'CONTRIBUTING.md'];
/** What looks like the name of a file or a folder of the project. */
const PATH = /^[\w.-]+(?:\/[\w.-]+)*(?:\.(?:ts|mjs|cjs|json|wat|md|sh)|\/)$/;
/** Names that stand for others, and what the build makes. */
const NO_PATH = /(?:^|\/)(?:VERB|NAME)\b|^dist\//;

/** Files and folders that a page names and that do not exist: from the root, from `src`, or without a folder. */
function lostFilesIn(/** @type {string} */ root, /** @type {string} */ page) {
  const spans = [...withoutBlocks(readFileSync(join(root, page), 'utf8')).matchAll(/`([^`\n]+)`/g)];
  const files = ['src', 'test', 'scripts'].flatMap((folder) => filesIn(root, folder, ''));
  const bare = new Set(files.map((path) => posix.basename(path)));
  return [...new Set(spans.map(([, name]) => name))].flatMap((name) => {
    if (!PATH.test(name) || NO_PATH.test(name) || bare.has(name)) return [];
    const places = [join(root, name), join(root, 'src', name)];
    return places.some((place) => existsSync(place)) ? [] : [`${page}: there is no '${name}'`];
  });
}

function foldersIn(/** @type {string} */ root, /** @type {string[]} */ ...parents) {
  return parents.flatMap((parent) => {
    if (!existsSync(join(root, parent))) return [];
    return readdirSync(join(root, parent), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  });
}

/** Code of a page: fenced blocks and spans. */
function codeOf(/** @type {string} */ text) {
  const blocks = [...text.matchAll(/^(```|~~~)[^\n]*\n([^]*?)^\1/gm)].map(([, , code]) => code);
  const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code);
  return [...blocks, ...spans].join('\n');
}

function withoutBlocks(/** @type {string} */ text) {
  return text.replace(/^(```|~~~)[^]*?^\1/gm, '');
}

/** Names in the first column of the tables that stand below a heading that matches. */
function namesInTables(/** @type {string} */ text, /** @type {RegExp} */ heading) {
  const names = [];
  let below = false;
  for (const line of withoutBlocks(text).split('\n')) {
    if (line.startsWith('#')) below = heading.test(line);
    const first = below ? /^\|([^|]*)\|/.exec(line)?.[1] : undefined;
    for (const [, name] of first?.matchAll(/`([^`]+)`/g) ?? []) names.push(name);
  }
  return names;
}

/** Commands and formats that the README names, in examples and in tables, and that do not exist. */
function inventionsIn(/** @type {string} */ root) {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const code = codeOf(text);
  const commands = filesIn(root, 'src/cli/commands', '.ts').map((/** @type {string} */ path) =>
    posix.basename(path, '.ts'),
  );
  const formats = foldersIn(root, 'src/formats', 'src/protocols', 'src/filters');
  /** @type {string[]} */
  const complaints = [];
  const expect = (
    /** @type {string} */ kind,
    /** @type {readonly string[]} */ known,
    /** @type {Iterable<string>} */ names,
  ) => {
    for (const name of new Set(names)) {
      if (!known.includes(name)) complaints.push(`README.md: the ${kind} '${name}' does not exist`);
    }
  };
  const programs = /(?:^|[\s/$])(?:qimg|qemu-img) +([a-z][a-z-]*)/gm;
  expect(
    'command',
    commands,
    [...code.matchAll(programs)].map(([, name]) => name),
  );
  expect(
    'command',
    commands,
    namesInTables(text, /\bcommands?\b/i).map((name) => name.replace(/^(qimg|qemu-img) /, '').split(' ')[0]),
  );
  expect(
    'format',
    formats,
    [...code.matchAll(/(?:^|\s)-[fFO] +([a-z][a-z0-9-]*)/gm)].map(([, name]) => name),
  );
  expect('format', formats, namesInTables(text, /\bformats?\b/i));
  return complaints;
}

/** Files of formats that their pages (docs/formats) forget in the table "file, contents", or name without reason. */
function wrongTablesIn(/** @type {string} */ root, /** @type {string} */ page) {
  const format = /^docs\/formats\/([^/]+)\.md$/.exec(page)?.[1];
  const folder = `src/formats/${format}`;
  if (format === undefined || !existsSync(join(root, folder))) return [];
  const files = filesIn(root, folder, '.ts').map((path) => path.slice(folder.length + 1, -'.ts'.length));
  const names = namesInTables(readFileSync(join(root, page), 'utf8'), /^#+ The files of the driver$/);
  return [
    ...files.filter((file) => !names.includes(file)).map((file) => `${page}: '${file}.ts' of ${folder} is missing`),
    ...names.filter((name) => !files.includes(name)).map((name) => `${page}: '${name}.ts' is not in ${folder}`),
    ...names.filter((name, i) => names.indexOf(name) !== i).map((name) => `${page}: '${name}.ts' is there twice`),
  ];
}

function complaintsAbout(/** @type {string} */ root) {
  const missing = [...REQUIRED_PAGES, ...ENTRY_POINTS].filter((page) => !existsSync(join(root, page)));
  const pages = [...REQUIRED_PAGES, ...filesIn(root, 'docs', '.md')].filter((page) => page.endsWith('.md'));
  const present = [...new Set(pages)].filter((page) => existsSync(join(root, page)));
  return [
    ...missing.map((page) => `${page} is missing`),
    ...filesIn(root, 'src', '.ts').flatMap((path) => undocumentedIn(root, path)),
    ...present.flatMap((page) => [...brokenLinksIn(root, page), ...wrongTablesIn(root, page)]),
    ...present.filter((page) => GUIDES.includes(page)).flatMap((page) => lostFilesIn(root, page)),
    ...(present.includes('README.md') ? inventionsIn(root) : []),
  ];
}

const complaints = complaintsAbout(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
