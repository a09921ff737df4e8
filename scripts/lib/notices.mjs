/**
 * The notes of licences that have to go with a bundle: those of exactly the packages that are in it, as they are in
 * `node_modules`. A package that was published without has its note in `licenses/NAME@VERSION.txt`, `+` for `/`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const LICENSE = /^(?:licen[cs]es?|copying|notices?)(?:[.-].*)?$/i;

/** The directory of the package that a module belongs to, below `root`; undefined: it is one of our own. */
function packageOf(/** @type {string} */ module) {
  return /^.*\bnode_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+(?=[\\/])/.exec(module)?.[0];
}

/** @type {(root: string, directory: string) => { title: string, notes: string[] }} */
function notesOf(root, directory) {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const title = `${name} ${version}`;
  const own = readdirSync(directory).filter((file) => LICENSE.test(file));
  const folder = join(root, 'scripts/lib/licenses');
  const known = existsSync(folder) ? readdirSync(folder) : [];
  const key = `${name.replace('/', '+')}@`;
  const kept = known.filter((file) => file.startsWith(key));
  if (own.length > 0) {
    if (kept.length > 0) throw new Error(`${title} has a note of its licence, and needs no ${kept[0]} any more`);
    return { title, notes: own.sort().map((file) => join(directory, file)) };
  }
  if (!kept.includes(`${key}${version}.txt`)) throw new Error(`${title} is bundled, and has no note of its licence`);
  return { title, notes: [join(folder, `${key}${version}.txt`)] };
}

/**
 * The text of all notes.
 * @param {string} root of the project.
 * @param {Iterable<string>} modules paths of what is bundled: absolute, or seen from `root`.
 * @throws Error of one line for a package that has no note.
 */
export function noticesOf(root, modules) {
  const directories = new Set([...modules].flatMap((module) => packageOf(module.replace(/^\0/, '')) ?? []));
  const parts = [...directories]
    .map((directory) => notesOf(root, resolve(root, directory)))
    .sort((a, b) => (a.title < b.title ? -1 : 1))
    .map(({ title, notes }) => {
      const texts = notes.map((file) => readFileSync(file, 'utf8').replace(/\r\n?/g, '\n').trim());
      return `${'='.repeat(title.length)}\n${title}\n${'='.repeat(title.length)}\n\n${texts.join('\n\n')}\n`;
    });
  return ['This program contains the following packages.\n', ...parts].join('\n');
}
