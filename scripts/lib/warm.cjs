'use strict';
// Writes V8's code cache of a built program after short runs of commands, so that what they need is in it, and nothing
// else: all of a cache is read at every start. `start.cjs` chooses one of the groups.
//   node warm.cjs PROGRAM GROUP CACHE DIRECTORY
// DIRECTORY is for the files of the runs. It is empty for the first group, whose files the others look at.
const { readFileSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
const { dirname } = require('node:path');
const vm = require('node:vm');

const [program, group, cache, directory] = process.argv.slice(2);
const at = (name) => `${directory}/${name}`;
const secret = ['--object', 'secret,id=key,data=passphrase'];
const luks = ['-O', 'luks', '-o', 'key-secret=key,iter-time=10'];
const inside = 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10';

/** Commands by group, in the order in which the groups are made. */
const groups = {
  copies: [
    ['convert', '-O', 'qcow2', program, at('a.qcow2')],
    ['convert', '-c', '-O', 'qcow2', at('a.qcow2'), at('c.qcow2')],
    ['convert', '-O', 'raw', at('c.qcow2'), at('a.raw')],
    ['convert', '-O', 'vmdk', at('a.raw'), at('a.vmdk')],
    ['convert', '-O', 'raw', at('a.vmdk'), at('a.raw')],
    ['compare', at('a.raw'), at('c.qcow2')],
  ],
  secrets: [
    ['convert', ...secret, ...luks, at('a.raw'), at('a.luks')],
    ['convert', ...secret, '--image-opts', `driver=luks,key-secret=key,file.filename=${at('a.luks')}`, at('a.raw')],
    ['convert', ...secret, '-O', 'qcow2', '-o', inside, at('a.raw'), at('e.qcow2')],
  ],
  others: [
    ['create', '-q', '-f', 'qcow2', '-b', at('a.qcow2'), '-F', 'qcow2', at('b.qcow2')],
    ['info', program],
    ['info', at('b.qcow2')],
    ['info', '--output=json', at('b.qcow2')],
    ['check', at('a.qcow2')],
    ['map', '--output=json', at('b.qcow2')],
    ['snapshot', '-c', 'one', at('b.qcow2')],
    ['snapshot', '-l', at('b.qcow2')],
  ],
};

const runs = groups[group];
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
