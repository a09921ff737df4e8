/** Commands with next to no work: starting and ending is all that they take. */

/** @typedef {import('../types.ts').Row} Row */

/** @type {import('../types.ts').Goal} */
const goal = { wall: [1.25, 1.25], of: 'empty' };

/** @type {readonly Row[]} */
export const start = [
  { name: '--version', argv: ['--version'], quick: true, goal },
  { name: 'info', argv: ['info', 'small.qcow2'], needs: ['small.qcow2'], sameText: true, quick: true, goal },
  {
    name: 'create',
    argv: ['create', '-q', '-f', 'qcow2', 'out.qcow2', '10G'],
    outputs: ['out.qcow2'],
    verify: [['check', '-f', 'qcow2', 'out.qcow2']],
    goal,
  },
  {
    name: 'resize',
    argv: ['resize', '-q', '-f', 'qcow2', 'copy.qcow2', '20G'],
    copies: [['small.qcow2', 'copy.qcow2']],
    verify: [['check', '-f', 'qcow2', 'copy.qcow2']],
    goal,
  },
  { name: 'measure', argv: ['measure', '-O', 'qcow2', '--size', '10G'], sameText: true, goal },
];
