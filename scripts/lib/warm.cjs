'use strict';
// Writes V8's code cache of a built program after short runs of its main commands, so that what they need is in it:
// node warm.cjs PROGRAM CACHE DIRECTORY (an empty one for the files of the runs)
const { readFileSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
const { dirname } = require('node:path');
const vm = require('node:vm');

const [program, cache, directory] = process.argv.slice(2);
const at = (name) => `${directory}/${name}`;
const runs = [
  ['info', program],
  ['convert', '-O', 'qcow2', program, at('a.qcow2')],
  ['convert', '-c', '-O', 'qcow2', at('a.qcow2'), at('c.qcow2')],
  ['convert', '-O', 'raw', at('c.qcow2'), at('a.raw')],
  ['create', '-q', '-f', 'qcow2', '-b', at('a.qcow2'), '-F', 'qcow2', at('b.qcow2')],
  ['info', '--output=json', at('b.qcow2')],
  ['check', at('a.qcow2')],
  ['map', '--output=json', at('b.qcow2')],
  ['compare', at('a.raw'), at('c.qcow2')],
];
const script = new vm.Script(wrap(readFileSync(program, 'latin1')), { filename: program });
const load = script.runInThisContext();
process.on('beforeExit', () => {
  const argv = runs.shift();
  if (!argv) return writeFileSync(cache, script.createCachedData());
  // What needs no event loop would otherwise be the last run.
  setImmediate(() => {});
  process.argv.splice(1, process.argv.length, program, ...argv);
  load({}, createRequire(program), { exports: {} }, program, dirname(program));
});
