'use strict';
// Whether this Node is new enough, by what package.json says. Here and in what calls it first, words that every Node
// knows: whoever has an old one is to read a line, not a stack trace.
const manifest = require('../../package.json');

function numbers(/** @type {string} */ text) {
  return text.split('.').map(Number);
}

/** True if `version` is not below `least`, number by number. */
function reaches(/** @type {number[]} */ version, /** @type {number[]} */ least) {
  for (let i = 0; i < least.length; i++) {
    if (version[i] !== least[i]) return version[i] > least[i];
  }
  return true;
}

/** True if a version meets a range of the forms `>=20`, `^20.19 || >=22.12`. */
function satisfies(/** @type {string} */ version, /** @type {string} */ range) {
  return range.split('||').some(function (part) {
    const one = part.trim();
    const least = numbers(one.replace(/^[^0-9]*/, ''));
    const found = numbers(version);
    return reaches(found, least) && (one.charAt(0) !== '^' || found[0] === least[0]);
  });
}

/** A range in words. */
function words(/** @type {string} */ range) {
  return range
    .split('||')
    .map(function (part) {
      const one = part.trim();
      const least = one.replace(/^[^0-9]*/, '');
      return one.charAt(0) === '^' ? least + ' or newer of line ' + least.split('.')[0] : least + ' or newer';
    })
    .join(', or ');
}

/** What to say where Node `version` is too old for `purpose` ("run" or "test"), undefined if it is not. */
function complaint(/** @type {'run' | 'test'} */ purpose, /** @type {string} */ version) {
  const range = purpose === 'test' ? manifest.devEngines.runtime.version : manifest.engines.node;
  if (satisfies(version, range)) return undefined;
  const more = purpose === 'test' ? ' for the tests' : '';
  return (
    'qimg: Node.js ' + words(range) + ' is needed' + more + ', this is v' + version + ' (' + process.execPath + ')'
  );
}

/** Ends the process with one line where Node is too old. */
function requireNode(/** @type {'run' | 'test'} */ purpose) {
  const line = complaint(purpose, process.versions.node);
  if (line === undefined) return;
  console.error(line);
  process.exit(1);
}

module.exports = { complaint: complaint, requireNode: requireNode, satisfies: satisfies };
