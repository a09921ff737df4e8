/**
 * Joins modules into one script in which each of them runs when something of it is first asked for. A bundler runs whatever
 * is imported, whether it is used or not: a command of the program uses a third of what it imports. Modules that have not run
 * cost next to nothing, in V8's code cache neither. What they do at the top level is seen by themselves only
 * (`sideEffects` in package.json), and there are no circles (scripts/check-floors.mjs), so that nobody sees when they run.
 */
import { dirname, join } from 'node:path/posix';
import { parseSync, Visitor } from 'rolldown/utils';

/**
 * A module in the bundler's CommonJS: `const require_x = require("./x.cjs")` in front, then uses of `require_x.name`.
 * @typedef {{ fileName: string, code: string }} Module
 */

/** Node's own modules. */
const BUILTIN = /^node:/;

/** The string that `require` is called with; undefined for other nodes of the syntax tree. */
function required(/** @type {any} */ node) {
  if (node?.type !== 'CallExpression' || node.callee.name !== 'require') return undefined;
  const [argument] = node.arguments;
  return typeof argument?.value === 'string' ? argument.value : undefined;
}

/**
 * What a module has in front: holders of other modules, by name, where the statements are, and what fills each.
 * @param {readonly any[]} statements
 */
function holdersOf(statements) {
  /** @type {Map<string, { name: string, start: number, end: number }>} */
  const holders = new Map();
  for (const { type, declarations, start, end } of statements) {
    const declarator = type === 'VariableDeclaration' ? declarations[0] : undefined;
    const name = required(declarator?.init);
    if (name === undefined || declarator.id.type !== 'Identifier') continue;
    if (name.startsWith('.') || BUILTIN.test(name)) holders.set(declarator.id.name, { name, start, end });
  }
  return holders;
}

/**
 * One module as a function that fills `exports`.
 * @param {Module} module
 * @param {(path: string) => number} numberOf the number of the module with this file name.
 */
function lazyModule({ fileName, code }, numberOf) {
  const { program, errors } = parseSync(fileName, code, { sourceType: 'script' });
  if (errors.length > 0) throw new Error(`${fileName}: ${errors[0].message}`);
  const holders = holdersOf(program.body);
  const load = (/** @type {string} */ name) =>
    `__load(${BUILTIN.test(name) ? JSON.stringify(name) : numberOf(join(dirname(fileName), name))})`;

  /** Where holders are asked for something. @type {Map<number, string>} */
  const uses = new Map();
  /** @type {any[]} */
  const identifiers = [];
  /** @type {any[]} */
  const calls = [];
  new Visitor({
    MemberExpression: ({ object }) =>
      object.type === 'Identifier' && holders.has(object.name) && uses.set(object.start, object.name),
    Identifier: (node) => holders.has(node.name) && identifiers.push(node),
    CallExpression: (node) => required(node)?.startsWith('.') && calls.push(node),
  }).visit(program);
  // Whoever hands on a module as a whole has it run at once.
  const declared = [...holders.values()];
  for (const { name, start } of identifiers) {
    const isDeclaration = declared.some((holder) => holder.start <= start && start < holder.end);
    if (!uses.has(start) && !isDeclaration) holders.delete(name);
  }

  /** @type {{ start: number, end: number, text: string }[]} */
  const changes = [];
  for (const { start, end } of holders.values()) changes.push({ start, end, text: '' });
  for (const { name, start, end } of identifiers) {
    const holder = holders.get(name);
    if (holder && uses.has(start)) changes.push({ start, end, text: `(${name}??=${load(holder.name)})` });
  }
  for (const call of calls) {
    if (changes.some(({ start, end }) => start <= call.start && call.end <= end)) continue;
    changes.push({ start: call.start, end: call.end, text: load(required(call) ?? '') });
  }
  const own = holders.size > 0 ? `let ${[...holders.keys()].join()};` : '';
  return `(__load,exports,require,__filename,__dirname)=>{${own}${changed(code, changes)}\n}`;
}

/**
 * A text with some parts of it replaced.
 * @param {string} text
 * @param {{ start: number, end: number, text: string }[]} changes
 */
function changed(text, changes) {
  let result = '';
  let at = 0;
  for (const change of changes.sort((a, b) => a.start - b.start)) {
    result += text.slice(at, change.start) + change.text;
    at = change.end;
  }
  return result + text.slice(at);
}

/**
 * The script of all modules, whose value is a list of functions `(__load, exports, require, __filename, __dirname)`. Each is one
 * line, between the first and the last, so that others can be made of some of them. `__load` gives what a module exports, having
 * run it at the first call, by its number in the list, or by the name of one of Node's own.
 * @param {readonly Module[]} modules the entry first.
 * @param {(name: string, code: string) => string} minify
 */
export function joinModules(modules, minify) {
  const numbers = new Map(modules.map(({ fileName }, index) => [fileName, index]));
  const numberOf = (/** @type {string} */ path) => {
    const number = numbers.get(path);
    if (number === undefined) throw new Error(`the bundler has made no module ${path}`);
    return number;
  };
  const lines = modules.map((module) => {
    // Without the name it would be in brackets, which have V8 compile a function before it is called.
    const text = minify(module.fileName, `_=${lazyModule(module, numberOf)}`).replace(/^_=|;?\n?$/g, '');
    // What is left of line feeds is in template literals.
    return text.replaceAll('\n', '\\n');
  });
  return ['[', ...lines.map((line) => `${line},`), ']'].join('\n');
}
