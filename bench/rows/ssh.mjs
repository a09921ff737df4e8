/** Copying from and to a server of SSH on this machine: `ssh:NAME` is a file there. */

/** @typedef {import('../types.ts').Row} Row */

/** @type {import('../types.ts').Goal} */
const goal = { wall: [1, 1] };
const same = [['compare', '-f', 'raw', '-F', 'raw', 'part.raw', 'out.raw']];
const files = { needs: ['part.raw'], outputs: ['out.raw'], verify: same, goal };

/** @type {readonly Row[]} */
export const ssh = [
  { name: 'read', argv: ['convert', '-f', 'raw', '-O', 'raw', 'ssh:part.raw', 'out.raw'], sftp: 'get', ...files },
  { name: 'write', argv: ['convert', '-f', 'raw', '-O', 'raw', 'part.raw', 'ssh:out.raw'], sftp: 'put', ...files },
];
