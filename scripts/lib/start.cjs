#!/usr/bin/env node
'use strict';
// The program's entry, copied to dist/bin/qimg.cjs. It starts one file with V8's code cache beside it: that saves more
// than half of the time between Node's own start and the first line of the program. A cache of another version of V8 is
// refused by V8 and the file compiled as usual.
const { readFileSync } = require('node:fs');
const { wrap } = require('node:module');
const vm = require('node:vm');

const filename = `${__dirname}/PROGRAM.cjs`;
// The groups of warm.cjs.
const copies = ['convert', 'compare', 'commit', 'rebase', 'dd'].includes(process.argv[2]);
const group = process.argv.includes('--object') ? 'secrets' : copies ? 'copies' : 'others';
let cachedData;
try {
  cachedData = readFileSync(`${__dirname}/PROGRAM.${group}.cache`);
} catch {
  // Not built here: only slower.
}
const script = new vm.Script(wrap(readFileSync(filename, 'latin1')), {
  filename,
  cachedData,
});
// Optimizing compilers that start later leave the cores to these commands, which mostly wait for the kernel or loop over
// tables briefly. Measured with V8 11 of Node 20, whose default is 132 KiB. V8 refuses a cache of other settings than it
// has when it looks at it: so not before.
if ((group !== 'others' || process.argv[2] === 'check') && process.versions.v8.startsWith('11.')) {
  require('node:v8').setFlagsFromString('--interrupt-budget=1000000');
}
script.runInThisContext()(exports, require, module, filename, __dirname);
