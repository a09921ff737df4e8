'use strict';
// Writes V8's code cache of a built program, after a short run of it, so that what every start needs is in the cache:
// node warm.cjs PROGRAM CACHE ARGUMENT...
const { readFileSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
const { dirname } = require('node:path');
const vm = require('node:vm');

const [program, cache, ...argv] = process.argv.slice(2);
process.argv.splice(1, process.argv.length, program, ...argv);
const script = new vm.Script(wrap(readFileSync(program, 'utf8')), {
  filename: program,
});
process.on('exit', () => writeFileSync(cache, script.createCachedData()));
script.runInThisContext()({}, createRequire(program), { exports: {} }, program, dirname(program));
